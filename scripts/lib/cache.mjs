// Where downloads are kept between runs, and how a download gets there while other runs do the same.
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

const UNFINISHED = 'unfinished-';
const ABANDONED_AFTER_MS = 24 * 60 * 60 * 1000;

/**
 * The cache folder, shared by all clones of the project: `$XDG_CACHE_HOME/envoy-mcp-identity`, `~/.cache/…`,
 * or, where neither can be written, `.cache` in the project.
 * @param {string} root the project
 * @param {NodeJS.ProcessEnv} env
 * @returns {string}
 */
export function cacheFolder(root, env) {
  const shared = env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache');
  const candidates = [join(shared, 'envoy-mcp-identity'), join(root, '.cache')];
  return candidates.find(isWritable) ?? join(root, '.cache');
}

/** @param {string} folder */
function isWritable(folder) {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes `target` by building it in a folder of its own and renaming it into place, so that nobody ever sees half
 * of it. When another run was faster, its result stays and ours is thrown away.
 * @param {string} target a file or folder that does not exist yet
 * @param {(folder: string) => Promise<string>} build gets an empty folder, returns the path in it to put in place
 */
export async function putInPlace(target, build) {
  const folder = dirname(target);
  mkdirSync(folder, { recursive: true });
  removeAbandoned(folder);
  const work = mkdtempSync(join(folder, UNFINISHED));
  try {
    const made = await build(work);
    try {
      renameSync(made, target);
    } catch (error) {
      if (!isAlreadyThere(error)) throw error;
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A file replaces a file, but a folder is not renamed over a folder that holds something. @param {unknown} error */
function isAlreadyThere(error) {
  return error instanceof Error && 'code' in error && (error.code === 'ENOTEMPTY' || error.code === 'EEXIST');
}

/** What a run left that was killed in the middle. @param {string} folder */
function removeAbandoned(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (name.startsWith(UNFINISHED) && age > ABANDONED_AFTER_MS) rmSync(path, { recursive: true, force: true });
  }
}
