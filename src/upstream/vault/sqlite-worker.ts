import { parentPort, workerData } from 'node:worker_threads';
import { prepareDatabase } from './sqlite-database.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

/**
 * The thread of the SQLite store: a commit waits for the disk and for other processes, and must not keep requests
 * waiting. An entry point like main.ts, so it works at import.
 */
export interface WorkerInput {
  readonly path: string;
  readonly busyLimitMs: number;
}

export type WorkerRequest = {
  readonly id: number;
  readonly operation: keyof SqliteDatabase;
  readonly args: readonly unknown[];
};
/** Id 0 tells whether the file could be opened. */
export type WorkerAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string };

const port = parentPort;
if (!port) throw new Error('this module is the thread of the SQLite store');
const { path, busyLimitMs } = workerData as WorkerInput;

try {
  const { DatabaseSync } = await import('node:sqlite');
  const database = prepareDatabase(new DatabaseSync(path), busyLimitMs);
  port.on('message', ({ id, operation, args }: WorkerRequest) => {
    try {
      const run = database[operation] as (...args: readonly unknown[]) => unknown;
      answer({ id, value: run(...args) });
    } catch (error) {
      answer({ id, error: (error as Error).message });
    }
    if (operation === 'close') port.close();
  });
  answer({ id: 0, value: undefined });
} catch (error) {
  answer({ id: 0, error: (error as Error).message });
}

function answer(message: WorkerAnswer): void {
  port?.postMessage(message);
}
