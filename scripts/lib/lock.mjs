// One run at a time, across processes.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { say, SetupError } from './say.mjs';

const POLL_MS = 250;
const WAIT_LIMIT_MS = 10 * 60 * 1000;
// Between the creation of the file and its content.
const UNSIGNED_LIMIT_MS = 10_000;

/**
 * Runs `work` while holding a lock file with our process id in it. The lock of a process that is gone is taken over.
 * @param {string} path
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} work
 */
export async function withLock(path, signal, work) {
  mkdirSync(dirname(path), { recursive: true });
  const started = Date.now();
  let told = false;
  while (!take(path)) {
    if (isAbandoned(path)) rmSync(path, { force: true });
    if (!told) say('another run is installing: waiting for it');
    told = true;
    if (Date.now() - started > WAIT_LIMIT_MS) {
      throw new SetupError('Another run has been installing for ten minutes', [`If there is none, delete ${path}.`]);
    }
    await sleep(POLL_MS, undefined, { signal });
  }
  try {
    await work();
  } finally {
    rmSync(path, { force: true });
  }
}

/** @param {string} path */
function take(path) {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** @param {string} path */
function isAbandoned(path) {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    if (!pid) return Date.now() - statSync(path).mtimeMs > UNSIGNED_LIMIT_MS;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH'; // no such process
  }
}
