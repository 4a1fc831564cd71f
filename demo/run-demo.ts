import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { startBackingServices } from './backing-services.ts';
import { startChild, untilReady } from './child.ts';
import type { Child } from './child.ts';
import { printable } from './guide.ts';
import { choosePorts, configFor, requireFree } from './ports.ts';
import { chooseTokenSeconds, demoSecrets } from './secrets.ts';

const root = dirname(import.meta.dirname);
const logs = join(root, '.demo');
const host = '127.0.0.1';

/**
 * Runs the demo until `interrupted` resolves. Returns the exit code: 0 after an interruption, 1 when something
 * could not start or ended by itself. Whatever was started is stopped again, last started first.
 *
 * `env`: `ENVOY_BIN` (path of Envoy, required), `DEMO_PORT_BASE` (first of nine consecutive ports),
 * `DEMO_TOKEN_SECONDS` (lifetime of the tracker's access tokens, default 20), and the secrets of demo/secrets.ts.
 */
export async function runDemo(
  env: NodeJS.ProcessEnv,
  say: (text: string) => void,
  interrupted: Promise<void>,
): Promise<number> {
  const stops: (() => Promise<void>)[] = [];
  const abort = new AbortController();
  void interrupted.then(() => abort.abort());
  try {
    const children = await startEverything(env, say, stops, abort.signal);
    await Promise.race([interrupted, firstToEnd(children)]);
    return 0;
  } catch (error) {
    if (abort.signal.aborted) return 0;
    say(`\n${error instanceof Error ? error.message : String(error)}`);
    return 1;
  } finally {
    if (stops.length > 0) say('\nstopping …');
    for (const stop of stops.toReversed()) await stop();
  }
}

async function startEverything(
  env: NodeJS.ProcessEnv,
  say: (text: string) => void,
  stops: (() => Promise<void>)[],
  signal: AbortSignal,
): Promise<Child[]> {
  const envoyBinary = env['ENVOY_BIN'];
  if (!envoyBinary) {
    throw new Error('ENVOY_BIN is not set: the path of an Envoy binary. `npm start` finds or fetches one.');
  }
  const ports = choosePorts(env['DEMO_PORT_BASE']);
  await requireFree(ports, host);
  await mkdir(logs, { recursive: true });
  const config = await configFor(ports, root, logs);

  const backendLog = createWriteStream(join(logs, 'backends.log'));
  stops.push(() => new Promise((resolve) => backendLog.end(() => resolve())));
  const secrets = demoSecrets(env);
  const tokenSeconds = chooseTokenSeconds(env['DEMO_TOKEN_SECONDS']);
  const accounts = {
    loginSecret: secrets.DEMO_LOGIN_SECRET,
    trackerSecret: secrets.DEMO_TRACKER_SECRET,
    tokenSeconds,
  };
  const log = (line: string) => backendLog.write(`${line}\n`);
  const backing = await startBackingServices(ports, host, log, accounts);
  stops.push(() => backing.stop());
  say('identity provider, MCP backends  ready');

  const children: Child[] = [];
  const start = async (name: string, command: string, args: string[], readyUrl: string) => {
    const child = await startChild(name, command, args, join(logs, `${name}.log`), { ...env, ...secrets });
    stops.push(() => child.stop());
    children.push(child);
    say(`${name.padEnd(33)}starting, log in .demo/${name}.log`);
    await untilReady(readyUrl, child, signal).catch(async (error: unknown) => {
      signal.throwIfAborted();
      throw await withLastLines(child, error instanceof Error ? error.message : String(error));
    });
    say(`${name.padEnd(33)}ready`);
  };
  const serve = [join(root, 'src/main.ts'), 'serve', '--config', config.service];
  await start('service', process.execPath, serve, `http://${host}:${ports.admin}/readyz`);
  // Hot restart would make two demos on one machine share memory.
  const quiet = '--disable-hot-restart --concurrency 1 --log-level warning'.split(' ');
  const envoyArgs = ['--config-path', config.envoy, ...quiet];
  await start('envoy', envoyBinary, envoyArgs, `http://${host}:${ports.envoyAdmin}/ready`);

  say(printable(ports, nodeCommand(), tokenSeconds));
  return children;
}

async function firstToEnd(children: readonly Child[]): Promise<never> {
  throw await Promise.race(children.map(async (child) => withLastLines(child, await child.ended)));
}

async function withLastLines(child: Child, what: string): Promise<Error> {
  const lines = await child.lastLines(20);
  return new Error(
    `${child.name} ${what}. Its last lines (.demo/${child.name}.log):\n\n${lines || '(it said nothing)'}\n`,
  );
}

/** This very Node, whole path: the setup of `npm start` may have fetched it, and the one on PATH may be too old. */
function nodeCommand(): string {
  return /^[\w./-]+$/.test(process.execPath)
    ? process.execPath
    : `'${process.execPath.replaceAll("'", String.raw`'\''`)}'`;
}
