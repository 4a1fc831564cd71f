import type { DatabaseSync } from 'node:sqlite';
import type { StoredRecord } from './store.ts';

/** Raised when the tables change; `user_version` of the file. */
const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE grants (id INTEGER PRIMARY KEY, record TEXT NOT NULL UNIQUE, generation INTEGER NOT NULL, provider TEXT NOT NULL, sealed TEXT NOT NULL) STRICT;
  CREATE TABLE held (name TEXT PRIMARY KEY, token TEXT NOT NULL, until_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX held_until ON held (until_ms);
  PRAGMA user_version = ${SCHEMA_VERSION};
`;
const PAGE = 500;
const SWEEP_EVERY_MS = 60_000;
const SQLITE_BUSY = 5;

/** The operations of the store, synchronous: they run in the store's own thread. Each is one atomic statement. */
export type SqliteDatabase = ReturnType<typeof prepareDatabase>;

/**
 * Makes an opened file ready: tables, write-ahead log, and a commit that returns only when it is on the disk.
 * @param busyLimitMs how long to wait for another process that writes
 * @throws when the file is not a vault, or one of a newer version
 */
export function prepareDatabase(database: DatabaseSync, busyLimitMs: number) {
  database.exec(`PRAGMA busy_timeout = ${busyLimitMs}`);
  enableWriteAheadLog(database, Date.now() + busyLimitMs);
  // FULL: a commit syncs the log, so what was acknowledged survives a power cut too. secure_delete: what is gone is overwritten.
  database.exec('PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF');
  migrate(database);

  const read = database.prepare('SELECT record, generation, provider, sealed FROM grants WHERE record = ?');
  const put = database.prepare(
    'INSERT INTO grants (record, generation, provider, sealed) VALUES (?, ?, ?, ?) ON CONFLICT (record) DO UPDATE SET generation = excluded.generation, provider = excluded.provider, sealed = excluded.sealed',
  );
  const compareAndSet = database.prepare(
    'UPDATE grants SET generation = ?, provider = ?, sealed = ? WHERE record = ? AND generation = ?',
  );
  const remove = database.prepare('DELETE FROM grants WHERE record = ?');
  const removeGeneration = database.prepare('DELETE FROM grants WHERE record = ? AND generation = ?');
  const hold = database.prepare(
    'INSERT INTO held (name, token, until_ms) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET token = excluded.token, until_ms = excluded.until_ms WHERE held.until_ms <= ?',
  );
  const letGo = database.prepare('DELETE FROM held WHERE name = ? AND token = ? RETURNING until_ms');
  const sweep = database.prepare('DELETE FROM held WHERE until_ms <= ?');
  const page = database.prepare(
    'SELECT id, record, generation, provider, sealed FROM grants WHERE id > ? ORDER BY id LIMIT ?',
  );
  let sweptMs = 0;

  return {
    read: (record: string): StoredRecord | undefined => {
      const row = read.get(record);
      return row && toRecord(row);
    },
    put: ({ record, generation, provider, sealed }: StoredRecord): void => {
      put.run(record, generation, provider, sealed);
    },
    compareAndSet: (expected: number, { record, generation, provider, sealed }: StoredRecord): boolean =>
      compareAndSet.run(generation, provider, sealed, record, expected).changes === 1,
    delete: (record: string, expected: number | undefined): boolean =>
      (expected === undefined ? remove.run(record) : removeGeneration.run(record, expected)).changes === 1,
    hold: (name: string, token: string, ttlMs: number, nowMs: number): boolean => {
      if (nowMs - sweptMs >= SWEEP_EVERY_MS) {
        sweep.run(nowMs);
        sweptMs = nowMs;
      }
      return hold.run(name, token, nowMs + ttlMs, nowMs).changes === 1;
    },
    letGo: (name: string, token: string, nowMs: number): boolean => {
      const row = letGo.get(name, token);
      return row !== undefined && Number(row['until_ms']) > nowMs;
    },
    /** Records behind `after`, and where to go on. */
    page: (after: number): { records: StoredRecord[]; last: number } => {
      const rows = page.all(after, PAGE);
      return { records: rows.map(toRecord), last: Number(rows.at(-1)?.['id'] ?? after) };
    },
    ping: (): void => {
      read.get('');
    },
    close: (): void => database.close(),
  };
}

function toRecord(row: Record<string, unknown>): StoredRecord {
  return {
    record: String(row['record']),
    generation: Number(row['generation']),
    provider: String(row['provider']),
    sealed: String(row['sealed']),
  };
}

/** SQLite does not wait for others here, whatever `busy_timeout` says: changing the mode takes the file for itself. */
function enableWriteAheadLog(database: DatabaseSync, untilMs: number): void {
  for (;;) {
    try {
      const mode = database.prepare('PRAGMA journal_mode = WAL').get()?.['journal_mode'];
      if (mode !== 'wal')
        throw new Error(`SQLite cannot keep a write-ahead log here (journal mode "${String(mode)}"): use a local disk`);
      return;
    } catch (error) {
      if (!isBusy(error) || Date.now() >= untilMs) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

function migrate(database: DatabaseSync): void {
  // One process makes the tables; the others wait here and then find them.
  database.exec('BEGIN IMMEDIATE');
  try {
    const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
    if (version > SCHEMA_VERSION)
      throw new Error(
        `the vault was written by a newer version of this service (schema ${version}, known up to ${SCHEMA_VERSION})`,
      );
    if (version === 0) {
      if (database.prepare('SELECT 1 FROM sqlite_master').get())
        throw new Error('the file is an SQLite database of something else');
      database.exec(SCHEMA);
    }
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

function isBusy(error: unknown): boolean {
  const code = (error as { errcode?: unknown }).errcode;
  return typeof code === 'number' && (code & 0xff) === SQLITE_BUSY; // extended codes keep the primary one in the low byte
}
