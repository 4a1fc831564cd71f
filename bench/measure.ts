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

/** Measures variants of a running site, one load after the other. */
export class Measuring {
  readonly #site: Site;
  readonly #settings: Settings;
  readonly #tokens: { readonly one: string; readonly many: string };
  readonly #requests = new Map<string, string>();
  #nextToken = 0;

  /** @param tokens files with one token and with many */
  constructor(site: Site, settings: Settings, tokens: { readonly one: string; readonly many: string }) {
    this.#site = site;
    this.#settings = settings;
    this.#tokens = tokens;
  }

  /** Gets connections opened, code compiled and caches filled. */
  async warmUp(variant: Variant, seconds: number): Promise<void> {
    const seen = await this.#load(variant, seconds);
    if (seen.failed + seen.refused > 0 || seen.requests === 0)
      throw new Error(`${variant.name}: ${JSON.stringify(seen)}\n${this.#whatWentWrong(variant)}`);
  }

  async measure(variant: Variant, round: number): Promise<Sample> {
    const { envoy } = this.#site;
    const pid = this.#site.deciderOf(variant.listener)?.process.pid;
    const pids = [envoy.process.pid as number, this.#site.backend.process.pid as number, ...(pid ? [pid] : [])];
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
      serviceCpu: (used[2] ?? 0) * perTenThousand,
      envoyCpu: (used[0] as number) * perTenThousand,
      foreign: Math.max(0, machine - ours) / machine,
      serviceMiB: pid ? memoryOf(pid) : 0,
      failed: seen.failed + seen.refused + (paced ? paced.failed + paced.refused : 0),
      latency: paced && { p50: paced.p50, p95: paced.p95, p99: paced.p99 },
    };
  }

  async #load(variant: Variant, seconds: number, perSecond?: number): Promise<Seen> {
    const url = this.#site.urlOf(variant.listener);
    const seen = await generateLoad(this.#settings.wrk, {
      url,
      request: await this.#requestOf(variant),
      tokens: variant.distinctTokens ? this.#tokens.many : this.#tokens.one,
      start: variant.distinctTokens ? this.#nextToken : 0,
      connections: this.#settings.connections,
      seconds,
      ...(perSecond === undefined ? {} : { perSecond }),
    });
    // Goes on where the last load ended, so that a token comes again as late as possible.
    if (variant.distinctTokens) this.#nextToken += seen.requests + this.#settings.connections;
    return seen;
  }

  /** File with the request of a variant. */
  async #requestOf({ listener, prefix, session }: Variant): Promise<string> {
    const url = this.#site.urlOf(listener);
    const known = this.#requests.get(url + prefix);
    if (known) return known;
    const headers = [
      ...HEADERS,
      ...(session ? [['mcp-session-id', await this.#openSession(url + prefix)] as const] : []),
    ];
    const body = bodyOf(BODY_BYTES);
    const lines = [
      `POST ${prefix} HTTP/1.1`,
      `host: ${new URL(url).host}`,
      'authorization: Bearer {token}',
      ...headers.map(([name, value]) => `${name}: ${value}`),
      `content-length: ${body.length}`,
    ];
    const file = `${this.#site.folder}/request-${this.#requests.size}`;
    writeFileSync(file, `${lines.join('\r\n')}\r\n\r\n${body}`);
    this.#requests.set(url + prefix, file);
    return file;
  }

  async #openSession(url: string): Promise<string> {
    const token = readFileSync(this.#tokens.one, 'utf8').trim();
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
    const audit = `${join(this.#site.folder, service)}/audit.jsonl`;
    const decider = this.#site.deciderOf(listener)?.stderr.slice(-2000) ?? '';
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
