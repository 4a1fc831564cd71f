#!/usr/bin/env node
// `npm start`, `npm test`, `npm run bench`, `npm run soak` and `npm run fuzz` on a fresh clone: gets what is missing (Node,
// dependencies, Envoy, for tests and soak Redis, for the measurements wrk), then runs what was asked for. Runs on Node 18 and
// newer; what follows the setup runs on 22.18 and newer.
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildGoPeer, findWrk } from './lib/bench-tools.mjs';
import { cacheFolder } from './lib/cache.mjs';
import { runInOurPlace } from './lib/command.mjs';
import { installDependencies } from './lib/dependencies.mjs';
import { findEnvoy } from './lib/envoy.mjs';
import { findNode, withNodeFirst } from './lib/node.mjs';
import { findRedis } from './lib/redis.mjs';
import { explain, say, SetupError } from './lib/say.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const COMMANDS = ['test', 'demo', 'bench', 'soak', 'fuzz'];

const TEST_LIMIT_MS = 120_000;
// From Node 24 on the limit is one test's; before, it is also that of a whole file.
const FILE_LIMIT_MS = 600_000;
// A file that leaves a handle open never ends by itself; SIGINT makes the runner name it.
const RUN_LIMIT_MS = 30 * 60_000;

/**
 * @param {string} command
 * @param {string[]} args
 * @param {AbortSignal} signal for the setup; once the command runs, signals are passed on to it
 * @param {() => void} setupIsDone
 */
async function main(command, args, signal, setupIsDone) {
  if (process.platform === 'win32') {
    throw new SetupError('Windows is not supported', ['Use WSL 2, or Docker: docker compose up --build.']);
  }
  const setup = { root: ROOT, cache: cacheFolder(ROOT, process.env), env: process.env, signal };
  const node = await findNode(setup);
  setup.env = withNodeFirst(node, setup.env);
  if (node !== process.execPath) {
    setupIsDone();
    return runInOurPlace(node, [fileURLToPath(import.meta.url), command, ...args], { cwd: ROOT, env: setup.env });
  }
  await installDependencies(setup);
  if (command === 'fuzz') {
    setupIsDone();
    return runInOurPlace(node, [join('test', 'fuzz', 'main.ts'), ...args], { cwd: ROOT, env: setup.env });
  }
  const envoy = await findEnvoy(setup);
  const needsRedis = ['test', 'soak'].includes(command) || (command === 'bench' && args.includes('grants'));
  const redis = needsRedis ? await findRedis(setup) : undefined;
  const env = { ...setup.env, ENVOY_BIN: envoy, ...(redis ? { REDIS_SERVER_BIN: redis } : {}) };
  say(`Node ${process.versions.node}, Envoy ${envoy}${redis ? `, Redis ${redis}` : ''}`);
  if (command === 'bench') {
    const [wrk, go] = [await findWrk(setup), await buildGoPeer('go', setup)];
    // OPA takes minutes to build: only for a whole table.
    const opa = args.length === 0 || args.includes('services') ? await buildGoPeer('opa', setup) : undefined;
    setupIsDone();
    const tools = { WRK_BIN: wrk, ...(go ? { GO_PEER_BIN: go } : {}), ...(opa ? { OPA_PEER_BIN: opa } : {}) };
    return runInOurPlace(node, [join('bench', 'main.ts'), ...args], { cwd: ROOT, env: { ...env, ...tools } });
  }
  if (command === 'demo' || command === 'soak') {
    setupIsDone();
    return runInOurPlace(node, [join(command, 'main.ts'), ...args], { cwd: ROOT, env });
  }
  // Loaded only now: it needs a newer Node than this file.
  const { selectTests } = await import('./lib/test-files.mjs');
  const { options, files } = selectTests(args, ROOT);
  const limit = Number.parseInt(process.versions.node, 10) >= 24 ? TEST_LIMIT_MS : FILE_LIMIT_MS;
  const runner = ['--test', '--test-concurrency=2', `--test-timeout=${limit}`, '--test-reporter=spec'];
  setupIsDone();
  return runInOurPlace(node, [...runner, ...options, ...files], { cwd: ROOT, env, limitMs: RUN_LIMIT_MS });
}

const [command = '', ...args] = process.argv.slice(2);
if (!COMMANDS.includes(command)) {
  process.stderr.write(`usage: node scripts/run.mjs ${COMMANDS.join('|')} [arguments]\n`);
  process.exit(2);
}
const interrupted = new AbortController();
/** @param {NodeJS.Signals} signal */
const interrupt = (signal) => interrupted.abort(signal);
process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
try {
  process.exitCode = await main(command, args, interrupted.signal, () => {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  });
} catch (error) {
  if (interrupted.signal.aborted) {
    say('interrupted');
    process.exitCode = 128 + constants.signals[/** @type {NodeJS.Signals} */ (interrupted.signal.reason)];
  } else if (error instanceof SetupError) {
    explain(error);
    process.exitCode = 1;
  } else {
    throw error;
  }
}
