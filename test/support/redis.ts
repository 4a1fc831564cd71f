import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, constants, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const START_LIMIT_MS = 10_000;
const STOP_LIMIT_MS = 10_000;

export interface RedisOptions {
  /** Lines of redis.conf: `{ appendonly: 'yes' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly password?: string;
  /** Files; the port then speaks TLS only. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** Settings under which an acknowledged write is not lost. */
export const DURABLE = { appendonly: 'yes', appendfsync: 'always', 'maxmemory-policy': 'noeviction' } as const;

/** A real redis-server on a loopback port, with a directory of its own. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly directory: string;
  /** Ends it properly. */
  stop(): Promise<void>;
  /** SIGKILL: as when the machine loses power, but for what the kernel already has. */
  kill(): Promise<void>;
  /** Starts it again on the same port and directory. */
  start(): Promise<void>;
  /** SIGSTOP: connections stay, nobody answers. */
  pause(): void;
  resume(): void;
  /** Ends it and removes its directory. */
  dispose(): Promise<void>;
}

/** `$REDIS_SERVER_BIN`, else redis-server on the PATH. */
async function findRedisServer(): Promise<string | undefined> {
  const places = process.env['REDIS_SERVER_BIN']
    ? [process.env['REDIS_SERVER_BIN']]
    : (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'redis-server'));
  for (const place of places) {
    if (
      await access(place, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return place;
  }
  return undefined;
}

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const binary = await findRedisServer();
  if (!binary) throw new Error('redis-server was not found: put it on the PATH or set REDIS_SERVER_BIN');
  const directory = await mkdtemp(join(tmpdir(), 'redis-'));
  let running: ChildProcess | undefined;

  const launch = async (port: number) => {
    running = await launchRedis(binary, port, directory, options);
  };
  const end = async (signal: NodeJS.Signals) => {
    if (!running) return;
    await endProcess(running, signal);
    running = undefined;
  };

  // Redis cannot choose a port itself. Another process may take a free one before it does: then another is tried.
  let port = 0;
  for (let attempt = 1; ; attempt++) {
    port = await freePort();
    try {
      await launch(port);
      break;
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
  const user = options.password === undefined ? '' : `:${encodeURIComponent(options.password)}@`;

  return {
    url: `${options.tls ? 'rediss' : 'redis'}://${user}127.0.0.1:${port}`,
    port,
    directory,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    start: () => launch(port),
    pause: () => void running?.kill('SIGSTOP'),
    resume: () => void running?.kill('SIGCONT'),
    dispose: async () => {
      await end('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function launchRedis(
  binary: string,
  port: number,
  directory: string,
  options: RedisOptions,
): Promise<ChildProcess> {
  const args = ['--bind', '127.0.0.1', '--dir', directory, '--save', '', '--daemonize', 'no', '--logfile', ''];
  if (options.tls) {
    const { cert, key } = options.tls;
    args.push('--port', '0', '--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key);
    args.push('--tls-auth-clients', 'no', '--tls-ca-cert-file', cert);
  } else args.push('--port', String(port));
  if (options.password !== undefined) args.push('--requirepass', options.password);
  for (const [name, value] of Object.entries(options.settings ?? {})) args.push(`--${name}`, ...value.split(' '));

  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const ready = new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-4_000);
      if (output.includes('Ready to accept connections')) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${output}`)));
    setTimeout(() => reject(new Error(`redis-server was not ready in time: ${output}`)), START_LIMIT_MS).unref();
  });
  try {
    await ready;
  } catch (error) {
    await endProcess(child, 'SIGKILL');
    throw error;
  }
  return child;
}

async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGCONT'); // a stopped process hears nothing but SIGKILL
  child.kill(signal);
  const force = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await gone;
  clearTimeout(force);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
