import type { DpopParts } from '../../../src/authn/dpop.ts';
import { createProofNonces } from '../../../src/authn/dpop-nonce.ts';
import { createSealer } from '../../../src/core/seal.ts';
import { HeaderFields, type RequestFacts } from '../../../src/core/request-facts.ts';
import type { Metrics, Tools } from '../../../src/core/ports.ts';

/** Tools that tests look into, with a clock that they move. */
export interface TestTools extends Tools {
  readonly time: { nowMs: number };
  readonly lines: { level: string; message: string; fields: Readonly<Record<string, unknown>> | undefined }[];
  /** The value of a counter or gauge, `name{label=value,…}` with labels in the order they were given. */
  metric(series: string): number;
}

export function testTools(startMs = Date.UTC(2026, 0, 1)): TestTools {
  const time = { nowMs: startMs };
  const lines: TestTools['lines'] = [];
  const counters = new Map<string, number>();
  const gauges = new Map<string, () => number>();
  const series = (name: string, labels: Readonly<Record<string, string>> = {}) => {
    const text = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
    return text.length > 0 ? `${name}{${text.join(',')}}` : name;
  };
  const metrics: Metrics = {
    counter: (name, _help, labels) => ({
      inc: (by = 1) => void counters.set(series(name, labels), (counters.get(series(name, labels)) ?? 0) + by),
    }),
    histogram: (name, _help, _buckets, labels) => ({
      observe: () => void counters.set(series(name, labels), (counters.get(series(name, labels)) ?? 0) + 1),
    }),
    gauge: (name, _help, read, labels) => void gauges.set(series(name, labels), read),
  };
  const at = (level: string) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
    lines.push({ level, message, fields });
  };
  return {
    time,
    lines,
    metric: (name) => gauges.get(name)?.() ?? counters.get(name) ?? 0,
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    metrics,
    clock: { nowMs: () => time.nowMs },
  };
}

/** A request with these header fields and nothing else. */
export function requestWith(headers: Readonly<Record<string, string>>): RequestFacts {
  return {
    requestId: 'r1',
    method: 'POST',
    path: '/mcp',
    host: 'mcp.example.com',
    scheme: 'https',
    headers: new HeaderFields(Object.entries(headers).flat()),
    body: undefined,
    bodyAsText: false,
    peer: { address: '192.0.2.1', principal: '' },
    routeMetadata: undefined,
  };
}

/** For calls that must end by themselves; tests bound them all the same. */
export function bounded(): AbortSignal {
  return AbortSignal.timeout(10_000);
}

/** Proofs for https://mcp.example.com, remembered for good. */
export function dpopParts(tools: Tools): DpopParts {
  const used = new Set<string>();
  return {
    publicUrl: 'https://mcp.example.com/gateway',
    once: async (key) => used.size < used.add(key).size,
    nonces: createProofNonces(createSealer([{ id: 'k1', key: Buffer.alloc(32, 1) }], 'dpop-nonce'), tools.clock),
    clock: tools.clock,
  };
}
