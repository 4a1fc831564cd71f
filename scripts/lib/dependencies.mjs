// node_modules, as package-lock.json wants it.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.mjs';
import { withLock } from './lock.mjs';
import { npmFailure, NPM_NETWORK } from './npm.mjs';
import { say, step } from './say.mjs';

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, devOptional?: boolean, os?: string[],
 *   cpu?: string[], libc?: string[] }} Locked an entry of a lock file
 */

/**
 * Runs `npm ci` unless node_modules already holds what package-lock.json says.
 * @param {import('./command.mjs').Setup} setup
 */
export async function installDependencies(setup) {
  if (isInstalled(setup.root)) return;
  await withLock(join(setup.root, '.cache', 'install.lock'), setup.signal, async () => {
    if (isInstalled(setup.root)) return; // another run did it while we waited
    const reason = existsSync(join(setup.root, 'node_modules')) ? 'other than package-lock.json says' : 'missing';
    say(`node_modules is ${reason}`);
    await step('installing dependencies with npm ci', async () => {
      // No dependency needs its install script; without, nothing fetched runs before it is imported.
      const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
      const { root: cwd, env, signal } = setup;
      const install = await run('npm', [...args, ...NPM_NETWORK], { cwd, env, signal, limitMs: 600_000 });
      if (!install.ok) throw npmFailure('npm ci failed', install, []);
    });
    writeFileSync(join(setup.root, 'node_modules', '.installed-lock'), stamp(setup.root));
  });
}

/** @param {string} root */
function isInstalled(root) {
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return false; // npm writes it last
  const stampFile = join(root, 'node_modules', '.installed-lock');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp(root)) return true;
  // Somebody may have run npm by hand.
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const present = JSON.parse(readFileSync(installed, 'utf8'));
  return samePackages(wanted.packages, present.packages, process.platform, process.arch);
}

/**
 * Stands for: this lock file, installed by this state of node_modules, on this platform. npm rewrites its own
 * list with every change it makes, so an install by hand makes an older stamp void.
 * @param {string} root
 */
function stamp(root) {
  const hash = createHash('sha256');
  for (const file of ['package-lock.json', join('node_modules', '.package-lock.json')]) {
    hash.update(readFileSync(join(root, file))).update('\0');
  }
  return `${hash.digest('hex')} ${process.platform}-${process.arch}\n`;
}

/**
 * Whether the installed packages are those of the lock file. Of the optional ones, those for this platform must be
 * there; the others (for other platforms, or needed by such) need not.
 * @param {Record<string, Locked>} wanted `packages` of package-lock.json
 * @param {Record<string, Locked>} present `packages` of node_modules/.package-lock.json
 * @param {string} platform
 * @param {string} arch
 */
export function samePackages(wanted, present, platform, arch) {
  /** @param {Locked} entry */
  const isNeeded = ({ optional, os, cpu, libc }) =>
    !optional || (os?.includes(platform) && cpu?.includes(arch) && (libc?.includes('glibc') ?? true));
  const missing = Object.entries(wanted).some(([path, entry]) => path !== '' && isNeeded(entry) && !present[path]);
  const other = Object.entries(present).some(
    ([path, { version, integrity }]) => wanted[path]?.version !== version || wanted[path]?.integrity !== integrity,
  );
  return !missing && !other;
}
