// What only the measurements need: the load generator wrk, and the Go peers built from source.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { isExecutableFile, onPath, run } from './command.mjs';
import { programFromPackage } from './debian-package.mjs';
import { say, step } from './say.mjs';

const BUILD_LIMIT_MS = 600_000;
const WRK = {
  program: 'wrk',
  name: 'wrk',
  size: '1 MB',
  own: 'Install wrk 4 (Debian, Ubuntu: apt-get install wrk; macOS: brew install wrk) or set WRK_BIN.',
};

/**
 * `$WRK_BIN`, else `wrk` on PATH, else the package of a Debian-like system.
 * @param {import('./command.mjs').Setup} setup
 * @returns {Promise<string>}
 * @throws {SetupError}
 */
export async function findWrk(setup) {
  const chosen = setup.env['WRK_BIN'];
  if (chosen && isExecutableFile(chosen)) return chosen;
  return onPath('wrk', setup.env) ?? programFromPackage('wrk', WRK, setup);
}

/**
 * A Go peer, built into the cache. Without Go, or when it cannot be built, the answer is undefined and the
 * measurements go on without it.
 * @param {'go' | 'opa'} peer its folder in bench/peers
 * @param {import('./command.mjs').Setup} setup
 * @returns {Promise<string | undefined>}
 */
export async function buildGoPeer(peer, setup) {
  const go = onPath('go', setup.env);
  if (!go) {
    say(`Go is not installed: the measurements go without the peer ${peer} (https://go.dev/dl)`);
    return undefined;
  }
  mkdirSync(setup.cache, { recursive: true });
  const program = join(setup.cache, `${peer}-peer-${process.arch}`);
  const cwd = join(setup.root, 'bench', 'peers', peer);
  const build = () =>
    run(go, ['build', '-trimpath', '-o', program, '.'], {
      cwd,
      env: setup.env,
      signal: setup.signal,
      limitMs: BUILD_LIMIT_MS,
    });
  const outcome = await step(`building the peer ${peer}`, build);
  if (outcome.ok) return program;
  say(
    `the peer ${peer} could not be built, the measurements go without it: ${outcome.stderr.trim().split('\n').at(-1)}`,
  );
  return undefined;
}
