// Running other programs.
import { spawn } from 'node:child_process';
import { accessSync, constants as fsConstants, statSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { delimiter, join } from 'node:path';

/**
 * What every step of the setup needs to know.
 * @typedef {object} Setup
 * @property {string} root the project's folder
 * @property {string} cache where downloads are kept
 * @property {NodeJS.ProcessEnv} env for the programs that are started
 * @property {AbortSignal} signal ends the setup early
 */

/**
 * @typedef {{ ok: boolean, missing: boolean, stdout: string, stderr: string }} Outcome
 *   `missing`: the program could not be started at all.
 * @typedef {{ cwd?: string, env?: NodeJS.ProcessEnv, signal: AbortSignal, limitMs: number }} RunOptions
 *   `signal` ends the program early, `limitMs` ends it late.
 */

/**
 * Runs a program to its end and collects what it prints. A failure is an answer (`ok: false`), except when
 * `signal` was the cause: then it throws.
 * @param {string} program
 * @param {string[]} args
 * @param {RunOptions} options
 * @returns {Promise<Outcome>}
 */
export async function run(program, args, { cwd, env, signal, limitMs }) {
  signal.throwIfAborted();
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], signal });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  let missing = false;
  const limit = setTimeout(() => {
    stderr += `\nended after ${limitMs / 1000} s`;
    child.kill('SIGKILL');
  }, limitMs);
  const code = await new Promise((resolve) => {
    child.on('error', (error) => {
      missing = 'code' in error && (error.code === 'ENOENT' || error.code === 'EACCES');
      if (missing) resolve(null);
      else stderr += `\n${error.message}`;
    });
    child.on('close', resolve);
  });
  clearTimeout(limit);
  signal.throwIfAborted();
  return { ok: code === 0, missing, stdout, stderr };
}

/**
 * The first executable file of that name on PATH.
 * @param {string} name
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | undefined}
 */
export function onPath(name, env) {
  return (env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutableFile);
}

/** @param {string} path */
export function isExecutableFile(path) {
  try {
    accessSync(path, fsConstants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * Runs a program in our place: same terminal, our signals passed on, its exit code as the result
 * (128 + number when a signal ended it, as shells count).
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd: string, env: NodeJS.ProcessEnv, limitMs?: number }} options
 *   `limitMs`: after so long it gets SIGINT, and SIGKILL ten seconds later.
 * @returns {Promise<number>}
 */
export async function runInOurPlace(program, args, { cwd, env, limitMs }) {
  const child = spawn(program, args, { cwd, env, stdio: 'inherit' });
  /** @type {NodeJS.Signals[]} */
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  /** @param {NodeJS.Signals} signal */
  const passOn = (signal) => {
    // Ctrl-C in a terminal reaches the whole process group: the child already has it.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  };
  for (const signal of signals) process.on(signal, passOn);
  /** @type {NodeJS.Timeout[]} */
  const timers = [];
  let overdue = false;
  if (limitMs !== undefined) {
    const interrupt = setTimeout(() => {
      overdue = true;
      process.stderr.write(`\nNot finished after ${limitMs / 60_000} minutes: stopping it.\n`);
      child.kill('SIGINT');
      timers.push(setTimeout(() => child.kill('SIGKILL'), 10_000));
    }, limitMs);
    timers.push(interrupt);
  }
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => {
        const status = signal === null ? (code ?? 1) : 128 + osConstants.signals[signal];
        resolve(overdue && status === 0 ? 1 : status);
      });
    });
  } finally {
    for (const timer of timers) clearTimeout(timer);
    for (const signal of signals) process.off(signal, passOn);
  }
}
