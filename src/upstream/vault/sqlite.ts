import { closeSync, fstatSync, openSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { resolve } from 'node:path';
import type { Clock, Log } from '../../core/ports.ts';
import { startSqliteThread } from './sqlite-thread.ts';
import type { SqliteThread } from './sqlite-thread.ts';
import type { Store } from './store.ts';

/** Shorter than the limit of a vault operation, so that the caller hears "database is locked" rather than silence. */
const BUSY_LIMIT_MS = 1_500;

/**
 * One file, for any number of processes on one machine (SQLite's locks do not work on network file systems).
 * An acknowledged write survives `kill -9` and power cuts.
 * @param path relative paths count from the working directory
 * @param start starts the thread that has the file open
 * @throws when Node has no `node:sqlite`, or the file cannot be used; says why
 */
export async function openSqliteStore(
  path: string,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
  start: typeof startSqliteThread = startSqliteThread,
): Promise<Store> {
  if (!isBuiltin('node:sqlite'))
    throw new Error(`the SQLite store needs Node 22.5 or newer, this is ${process.version}`);
  const file = resolve(path);
  createPrivately(file, log);
  const input = { path: file, busyLimitMs: BUSY_LIMIT_MS };
  let thread: SqliteThread = await start(input);
  let restart: Promise<SqliteThread> | undefined;
  let closed = false;

  /** The thread, or a new one when it died. */
  const alive = async (): Promise<SqliteThread> => {
    if (!thread.ended || closed) return thread;
    restart ??= start(input).finally(() => {
      restart = undefined;
    });
    thread = await restart;
    return thread;
  };
  const call: SqliteThread['call'] = async (operation, ...args) => (await alive()).call(operation, ...args);

  return {
    read: (record) => call('read', record),
    put: (next) => call('put', next),
    compareAndSet: (expected, next) => call('compareAndSet', expected, next),
    delete: (record, expected) => call('delete', record, expected),
    hold: (name, token, ttlMs) => call('hold', name, token, ttlMs, clock.nowMs()),
    letGo: (name, token) => call('letGo', name, token, clock.nowMs()),
    async *pages() {
      let after = 0;
      for (;;) {
        const { records, last } = await call('page', after);
        if (records.length === 0) return;
        yield records;
        after = last;
      }
    },
    ping: () => call('ping'),
    close: async () => {
      if (closed) return;
      closed = true;
      if (!thread.ended) await thread.call('close');
    },
  };
}

/** SQLite gives its `-wal` and `-shm` files the mode of the file itself, so that one is made first. */
function createPrivately(file: string, log: Log): void {
  const descriptor = openSync(file, 'a', 0o600);
  try {
    const mode = fstatSync(descriptor).mode & 0o777;
    if ((mode & 0o077) !== 0 && process.platform !== 'win32')
      log.warn('the vault file can be used by other users of this machine; chmod 600 it', {
        file,
        mode: mode.toString(8),
      });
  } finally {
    closeSync(descriptor);
  }
}
