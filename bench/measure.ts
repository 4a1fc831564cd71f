import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { send } from '../test/support/http.ts';
import { cpuOf, cpuOfMachine, cpuOfSelf, memoryOf } from './cpu.ts';
import { generateLoad, type Seen } from './load.ts';
import type { Site } from './site.ts';
import type { Variant } from './variants.ts';

/** One variant in one round. CPU in seconds per 10,000 requests. */
export interface Sample {
  readonly variant: string;
  readonly round: number;
  readonly requestsPerSecond: number;
  /** Of the service that decides; 0 where Envoy does it alone. */
  readonly serviceCpu: number;
  readonly envoyCpu: number;
  /** Share of the machine that went to programs that are no part of this. */
  readonly foreign: number;
  readonly serviceMiB: number;
  /** Answers that were no success, and connections that broke. */
  readonly failed: number;
  /** At a fixed rate, milliseconds; undefined where it was not measured. */
  readonly latency: Pick<Seen, 'p50' | 'p95' | 'p99'> | undefined;
}

export interface Settings {
  readonly wrk: string;
  /** Seconds of each load. */
  readonly seconds: number;
  readonly connections: number;
  /** Rate at which latency is measured; undefined leaves that out. */
  readonly perSecond: number | undefined;
}

/** About what a client of an MCP server sends: 20 headers, 361 bytes of JSON-RPC. */
const HEADERS: readonly (readonly [string, string])[] = [
  ['accept', 'application/json, text/event-stream'],
  ['accept-encoding', 'gzip, deflate, br'],
  ['accept-language', 'en-GB,en;q=0.9'],
  ['cache-control', 'no-cache'],
  ['content-type', 'application/json'],
  ['mcp-protocol-version', '2025-11-25'],
  ['origin-agent-cluster', '?1'],
  ['pragma', 'no-cache'],
  ['priority', 'u=1, i'],
  ['sec-fetch-dest', 'empty'],
  ['sec-fetch-mode', 'cors'],
  ['sec-fetch-site', 'same-site'],
  ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
  ['tracestate', 'vendor=opaque'],
  ['user-agent', 'bench/1.0 (measuring)'],
  ['x-client-version', '2.4.0'],
];
const CALL = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'search', arguments: { query: '' } } };
const BODY_BYTES = 361;
const WARM_UP_SECONDS = 2;
const PACED_CONNECTIONS = 256;
/** From this size on fewer connections are busy at a time. */
const LARGE_BODY = 1_048_576;
const LARGE_CONNECTIONS = 4;

/** Files with tokens, by how many there are in each. */
export type TokenFiles = ReadonlyMap<NonNullable<Variant['tokens']>, string>;

/** Measures variants of a running site, one load after the other. */
export class Measuring {
  readonly #site: Site;
  readonly #settings: Settings;
  readonly #tokens: TokenFiles;
  readonly #requests = new Map<string, string>();
  readonly #next = new Map<string, number>();

  constructor(site: Site, settings: Settings, tokens: TokenFiles) {
    this.#site = site;
    this.#settings = settings;
    this.#tokens = tokens;
  }

  /** Gets connections opened, code compiled and caches filled. */
  async warmUp(variant: Variant): Promise<void> {
    const wanted = Math.max(typeof variant.tokens === 'number' ? variant.tokens : 1, variant.routes ?? 1);
    for (let sent = 0; sent < wanted; ) {
      const seen = await this.#load(variant, WARM_UP_SECONDS);
      if (seen.failed + seen.refused > 0 || seen.requests === 0)
        throw new Error(`${variant.name}: ${JSON.stringify(seen)}\n${this.#whatWentWrong(variant)}`);
      sent += seen.requests;
    }
  }

  async measure(variant: Variant, round: number): Promise<Sample> {
    const { envoy } = this.#site;
    const deciders = this.#site.decidersOf(variant.listener).map((child) => child.process.pid as number);
    const pids = [envoy.process.pid as number, this.#site.backend.process.pid as number, ...deciders];
    const all = () => pids.map(cpuOf);
    const [before, selfBefore, machineBefore] = [all(), cpuOfSelf(), cpuOfMachine()];
    const seen = await this.#load(variant, this.#settings.seconds);
    const used = all().map((seconds, i) => seconds - (before[i] as number));
    const ours = used.reduce((sum, seconds) => sum + seconds, cpuOfSelf() - selfBefore);
    const machine = cpuOfMachine() - machineBefore;
    const paced =
      this.#settings.perSecond === undefined
        ? undefined
        : await this.#load(variant, this.#settings.seconds, this.#settings.perSecond);
    const perTenThousand = 10_000 / seen.requests;
    return {
      variant: variant.name,
      round,
      requestsPerSecond: seen.requests / seen.seconds,
      serviceCpu: used.slice(2).reduce((sum, cpu) => sum + cpu, 0) * perTenThousand,
      envoyCpu: (used[0] as number) * perTenThousand,
      foreign: Math.max(0, machine - ours) / machine,
      serviceMiB: Math.max(0, ...deciders.map(memoryOf)),
      failed: seen.failed + seen.refused + (paced ? paced.failed + paced.refused : 0),
      latency: paced && { p50: paced.p50, p95: paced.p95, p99: paced.p99 },
    };
  }

  /** Load at the rate of the settings only. */
  paced(variant: Variant, seconds: number): Promise<Seen> {
    return this.#load(variant, seconds, this.#settings.perSecond);
  }

  async #load(variant: Variant, seconds: number, perSecond?: number): Promise<Seen> {
    const url = this.#site.urlOf(variant.listener);
    const tokens = this.#tokens.get(variant.tokens ?? 1) as string;
    const place = variant.listener + variant.prefix + (variant.tokens ?? 1);
    const start = this.#next.get(place) ?? 0;
    const large = (variant.bodyBytes ?? 0) >= LARGE_BODY;
    // Where answers must not hold back what follows, there are many more connections than requests at a time.
    const connections = large
      ? LARGE_CONNECTIONS
      : perSecond === undefined
        ? this.#settings.connections
        : PACED_CONNECTIONS;
    const seen = await generateLoad(this.#settings.wrk, {
      url,
      request: await this.#requestOf(variant),
      tokens,
      start,
      routes: variant.routes ?? 1,
      connections,
      seconds,
      ...(perSecond === undefined ? {} : { perSecond }),
    });
    // Goes on where the last load ended, so that a token comes again as late as possible.
    this.#next.set(place, start + seen.requests + connections);
    return seen;
  }

  /** File with the request of a variant. */
  async #requestOf({ listener, prefix, session, bodyBytes = BODY_BYTES }: Variant): Promise<string> {
    const url = this.#site.urlOf(listener);
    const wanted = `${url}${prefix} ${bodyBytes}`;
    const known = this.#requests.get(wanted);
    if (known) return known;
    const headers = [
      ...HEADERS,
      ...(session ? [['mcp-session-id', await this.#openSession(url + prefix)] as const] : []),
    ];
    const body = bodyOf(bodyBytes);
    const lines = [
      `POST ${prefix} HTTP/1.1`,
      `host: ${new URL(url).host}`,
      'authorization: Bearer {token}',
      ...headers.map(([name, value]) => `${name}: ${value}`),
      `content-length: ${body.length}`,
    ];
    const file = `${this.#site.folder}/request-${this.#requests.size}`;
    writeFileSync(file, `${lines.join('\r\n')}\r\n\r\n${body}`);
    this.#requests.set(wanted, file);
    return file;
  }

  async #openSession(url: string): Promise<string> {
    const token = readFileSync(this.#tokens.get(1) as string, 'utf8').trim();
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } };
    const answer = await send(url, {
      method: 'POST',
      headers: ['Authorization', `Bearer ${token}`, 'Content-Type', 'application/json'],
      body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
    });
    const id = answer.headers['mcp-session-id'];
    if (answer.status !== 200 || id === undefined) throw new Error(`no session: ${answer.status} ${answer.body}`);
    return id;
  }

  #whatWentWrong({ listener }: Variant): string {
    const service = listener.split('_', 1)[0] as string;
    const audit = join(this.#site.folder, service, 'audit-0.jsonl');
    const decider = this.#site.decidersOf(listener)[0]?.stderr.slice(-2000) ?? '';
    try {
      return `${decider}\n${readFileSync(audit, 'utf8').trimEnd().split('\n').at(-1)}`;
    } catch {
      return decider;
    }
  }
}

function bodyOf(bytes: number): string {
  const short = JSON.stringify(CALL);
  return short.replace('"query":""', `"query":"${'q'.repeat(bytes - short.length)}"`);
}
