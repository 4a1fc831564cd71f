import { Worker } from 'node:worker_threads';
import type { SqliteDatabase } from './sqlite-database.ts';
import type { WorkerAnswer, WorkerInput, WorkerRequest } from './sqlite-worker.ts';
import { VaultError } from './vault-error.ts';

const OPEN_LIMIT_MS = 10_000;
/** Calls that wait for the thread; a disk that hangs must not fill the memory. */
const MAX_WAITING = 10_000;

/** A running thread with the file open. */
export interface SqliteThread {
  call<Name extends keyof SqliteDatabase>(
    operation: Name,
    ...args: Parameters<SqliteDatabase[Name]>
  ): Promise<ReturnType<SqliteDatabase[Name]>>;
  /** True when the thread is gone and another one must be started. */
  readonly ended: boolean;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** @throws why the file cannot be used */
export async function startSqliteThread(input: WorkerInput): Promise<SqliteThread> {
  // The same file is .ts where TypeScript runs directly and .js in dist; tsc rewrites imports, not URLs.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`./sqlite-worker.${extension}`, import.meta.url), {
    workerData: input,
    execArgv: ['--disable-warning=ExperimentalWarning'], // Node 22 says so of node:sqlite, once per thread
  });
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let ended = false;

  worker.on('message', (answer: WorkerAnswer) => {
    const caller = waiting.get(answer.id);
    waiting.delete(answer.id);
    if (waiting.size === 0) worker.unref(); // an idle thread does not keep the process from ending
    if ('error' in answer) caller?.reject(new VaultError('unavailable', `SQLite: ${answer.error}`));
    else caller?.resolve(answer.value);
  });
  const end = (why: string) => {
    ended = true;
    for (const caller of waiting.values()) caller.reject(new VaultError('unavailable', why));
    waiting.clear();
  };
  worker.on('error', (error: Error) => end(`the thread of the SQLite store failed: ${error.message}`));
  worker.on('exit', () => end('the thread of the SQLite store has ended'));

  const opening = new Promise<unknown>((resolve, reject) => waiting.set(0, { resolve, reject }));
  const timer = setTimeout(() => end(`the file could not be opened within ${OPEN_LIMIT_MS} ms`), OPEN_LIMIT_MS);
  try {
    await opening;
  } catch (error) {
    await worker.terminate();
    throw error;
  } finally {
    clearTimeout(timer);
  }

  return {
    get ended() {
      return ended;
    },
    call: (operation, ...args) => {
      if (ended) return Promise.reject(new VaultError('unavailable', 'the thread of the SQLite store has ended'));
      if (waiting.size >= MAX_WAITING)
        return Promise.reject(new VaultError('unavailable', `${waiting.size} calls already wait for SQLite`));
      return new Promise((resolve, reject) => {
        const id = ++lastId;
        waiting.set(id, { resolve, reject });
        worker.ref();
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a browser window
        worker.postMessage({ id, operation, args } satisfies WorkerRequest);
      });
    },
  };
}
