import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export interface Load {
  readonly url: string;
  /** File with the text of the request, `{token}` and perhaps `{route}` in it. */
  readonly request: string;
  /** File with one token per line, taken in turn. */
  readonly tokens: string;
  /** Number of the first token to be sent. */
  readonly start: number;
  /** How many routes are asked in turn. */
  readonly routes: number;
  readonly connections: number;
  readonly seconds: number;
  /** Requests per second at most; undefined sends the next request as soon as a connection is free. */
  readonly perSecond?: number;
}

/** What wrk saw. Latencies in milliseconds, from sending a request to its complete answer. */
export interface Seen {
  readonly requests: number;
  readonly seconds: number;
  /** Connections that broke or timed out. */
  readonly failed: number;
  /** Answers with a status of 400 or more. */
  readonly refused: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

const SCRIPT = fileURLToPath(new URL('load.lua', import.meta.url));

/** @throws when wrk fails; says why */
export async function generateLoad(wrk: string, load: Load): Promise<Seen> {
  const pauseMs = load.perSecond === undefined ? 0 : (load.connections * 1_000) / load.perSecond;
  const request = [load.url, '--', load.request, load.tokens, String(load.start), String(pauseMs), String(load.routes)];
  const shape = ['-t', '1', '-c', String(load.connections), '-d', `${load.seconds}s`, '--timeout', '10s'];
  const child = spawn(wrk, [...shape, '-s', SCRIPT, ...request], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  const line = stdout.trimEnd().split('\n').at(-1) ?? '';
  if (code !== 0 || !line.startsWith('{')) throw new Error(`wrk ended with ${code}: ${stderr}${stdout}`);
  return JSON.parse(line) as Seen;
}
