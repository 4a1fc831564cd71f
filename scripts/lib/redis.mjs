// A redis-server for the tests of the Redis store: the user's own, or the distribution's package unpacked into the
// cache folder. Nothing is installed on the system and no server is started here.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { putInPlace } from './cache.mjs';
import { isExecutableFile, onPath, run } from './command.mjs';
import { say, SetupError, step } from './say.mjs';

const LIMIT_MS = 180_000;
const OWN_REDIS =
  'Install Redis 7 (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis) or set REDIS_SERVER_BIN.';

/**
 * `$REDIS_SERVER_BIN`, else `redis-server` on PATH, else the package of a Debian-like system, fetched once. Where
 * that fails the reason is printed and the answer is undefined: the tests that need Redis say so themselves.
 * @param {import('./command.mjs').Setup} setup
 * @returns {Promise<string | undefined>}
 */
export async function findRedis(setup) {
  const { env } = setup;
  const chosen = env['REDIS_SERVER_BIN'];
  if (chosen && isExecutableFile(chosen)) return chosen;
  if (chosen) say(`REDIS_SERVER_BIN (${chosen}) is not an executable file: looking further`);
  const installed = onPath('redis-server', env);
  if (installed) return installed;
  const folder = join(setup.cache, `redis-${distribution()}-${process.arch}`);
  const wrapper = join(folder, 'redis-server');
  if (isExecutableFile(wrapper)) return wrapper;
  try {
    if (!onPath('apt-get', env) || !onPath('dpkg-deb', env)) {
      throw new SetupError('Redis is missing, and this system has no apt-get to fetch it with', [OWN_REDIS]);
    }
    const what = 'fetching redis-server with apt-get (about 15 MB, nothing is installed)';
    await step(
      what,
      () => putInPlace(folder, (work) => unpackRedis(work, setup)),
      () => wrapper,
    );
    return wrapper;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`${error.message}. The tests that need it will fail. ${error.advice.join(' ')}`);
    if (error.output.trim() !== '') say(lastLines(error.output));
    return undefined;
  }
}

/** Packages of one release do not run on another. */
function distribution() {
  const path = '/etc/os-release';
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  /** @param {string} key */
  const value = (key) => new RegExp(`^${key}="?([\\w.-]+)`, 'm').exec(text)?.[1] ?? 'unknown';
  return `${value('ID')}-${value('VERSION_ID')}`;
}

/**
 * @param {string} work
 * @param {import('./command.mjs').Setup} setup
 */
async function unpackRedis(work, { env, signal }) {
  const [lists, cache, packages, made] = ['lists', 'cache', 'packages', 'redis'].map((name) => join(work, name));
  for (const folder of [join(lists, 'partial'), join(cache, 'archives', 'partial'), packages, made]) {
    mkdirSync(folder, { recursive: true });
  }
  // Package lists of our own: the system's stay as they are, may be out of date, and need root to refresh.
  const own = [
    `Dir::State::Lists=${lists}`,
    `Dir::Cache=${cache}`,
    'APT::Sandbox::User=root',
    'APT::Update::Post-Invoke::=',
  ];
  const network = ['Acquire::Retries=2', 'Acquire::http::Timeout=20', 'Acquire::https::Timeout=20'];
  const flags = [...own, ...network].flatMap((option) => ['-o', option]);
  const options = { cwd: packages, env: { ...env, LC_ALL: 'C' }, signal, limitMs: LIMIT_MS };
  /** @param {string[]} args */
  const aptGet = async (...args) => {
    const outcome = await run('apt-get', ['-q', ...flags, ...args], options);
    if (!outcome.ok)
      throw new SetupError(`Redis is missing, and apt-get ${args[0]} failed`, [OWN_REDIS], outcome.stderr);
    return outcome.stdout;
  };
  await aptGet('update', '--error-on=any');
  const plan = await aptGet('install', '--simulate', '--no-install-recommends', 'redis-server');
  const names = [...plan.matchAll(/^Inst (\S+)/gm)]
    .map(([, name]) => name ?? '')
    .filter((name) => !/^libc(6|-)/.test(name));
  await aptGet('download', ...names);
  for (const name of readdirSync(packages)) {
    const unpack = await run('dpkg-deb', ['-x', name, made], options);
    if (!unpack.ok)
      throw new SetupError(`Redis is missing, and dpkg-deb could not unpack ${name}`, [OWN_REDIS], unpack.stderr);
  }
  const wrapper = join(made, 'redis-server');
  writeFileSync(wrapper, WRAPPER);
  chmodSync(wrapper, 0o755);
  const version = await run(wrapper, ['--version'], options);
  if (!version.ok)
    throw new SetupError('Redis is missing, and the fetched one does not run', [OWN_REDIS], version.stderr);
  return made;
}

// `exec`: the process id and the signals are those of the server itself.
const WRAPPER = `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
for folder in "$here"/usr/lib/*-linux-gnu* "$here"/lib/*-linux-gnu*; do
  [ -d "$folder" ] && LD_LIBRARY_PATH="$folder\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "$here/usr/bin/redis-server" "$@"
`;

/** @param {string} text */
function lastLines(text) {
  return text.trim().split('\n').slice(-3).join(' | ');
}
