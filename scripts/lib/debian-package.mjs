// Programs out of a Debian-like distribution's packages, unpacked into the cache folder. Nothing is installed on the system.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { putInPlace } from './cache.mjs';
import { isExecutableFile, onPath, run } from './command.mjs';
import { SetupError, step } from './say.mjs';

const LIMIT_MS = 180_000;

/**
 * @typedef {object} Wanted
 * @property {string} program file name in `/usr/bin` of the package
 * @property {string} name for people, such as `Redis`
 * @property {string} size for people, such as `15 MB`
 * @property {string} own how to get it otherwise
 */

/**
 * The program from its package, fetched once per release of the distribution.
 * @param {string} packageName
 * @param {Wanted} wanted
 * @param {import('./command.mjs').Setup} setup
 * @returns {Promise<string>} path of a wrapper that runs it with the libraries it was packaged with
 * @throws {SetupError} without apt-get, or when it fails
 */
export async function programFromPackage(packageName, wanted, setup) {
  const folder = join(setup.cache, `${wanted.name.toLowerCase()}-${distribution()}-${process.arch}`);
  const wrapper = join(folder, wanted.program);
  if (isExecutableFile(wrapper)) return wrapper;
  if (!onPath('apt-get', setup.env) || !onPath('dpkg-deb', setup.env)) {
    throw new SetupError(`${wanted.name} is missing, and this system has no apt-get to fetch it with`, [wanted.own]);
  }
  await step(
    `fetching ${packageName} with apt-get (about ${wanted.size}, nothing is installed)`,
    () => putInPlace(folder, (work) => unpack(work, packageName, wanted, setup)),
    () => wrapper,
  );
  return wrapper;
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
 * @param {string} packageName
 * @param {Wanted} wanted
 * @param {import('./command.mjs').Setup} setup
 */
async function unpack(work, packageName, { program, name: called, own: advice }, { env, signal }) {
  const [lists, cache, packages, made] = ['lists', 'cache', 'packages', 'made'].map((name) => join(work, name));
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
      throw new SetupError(`${called} is missing, and apt-get ${args[0]} failed`, [advice], outcome.stderr);
    return outcome.stdout;
  };
  await aptGet('update', '--error-on=any');
  const plan = await aptGet('install', '--simulate', '--no-install-recommends', packageName);
  const names = [...plan.matchAll(/^Inst (\S+)/gm)]
    .map(([, name]) => name ?? '')
    .filter((name) => !/^libc(6|-)/.test(name));
  await aptGet('download', ...names);
  for (const name of readdirSync(packages)) {
    const unpacked = await run('dpkg-deb', ['-x', name, made], options);
    if (!unpacked.ok)
      throw new SetupError(`${called} is missing, and dpkg-deb could not unpack ${name}`, [advice], unpacked.stderr);
  }
  const wrapper = join(made, program);
  writeFileSync(wrapper, wrapperOf(program));
  chmodSync(wrapper, 0o755);
  const version = await run(wrapper, ['--version'], options);
  if (version.missing || (!version.ok && version.stdout === '')) {
    throw new SetupError(`${called} is missing, and the fetched one does not run`, [advice], version.stderr);
  }
  return made;
}

/** `exec`: the process id and the signals are those of the program itself. @param {string} program */
const wrapperOf = (program) => `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
for folder in "$here"/usr/lib/*-linux-gnu* "$here"/lib/*-linux-gnu*; do
  [ -d "$folder" ] && LD_LIBRARY_PATH="$folder\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH
exec "$here/usr/bin/${program}" "$@"
`;
