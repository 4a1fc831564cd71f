import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { openVault } from '../../src/upstream/vault/open.ts';
import { openSqliteStore } from '../../src/upstream/vault/sqlite.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { startVaultProcess } from '../support/vault-process.ts';
import { ALICE, grantContent, newKey, testTools, vaultConfig } from '../support/vault-tools.ts';
import { countTogether, useUpTogether, writeUntilKilled } from './vault-processes.ts';
import { vaultContract } from './vault-suite.ts';

async function filesOf(directory: string): Promise<Buffer> {
  return Buffer.concat(await Promise.all((await readdir(directory)).map((name) => readFile(join(directory, name)))));
}

vaultContract('sqlite', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'vault-'));
  const file = join(directory, 'vault.db');
  const tools = testTools();
  const store = await openSqliteStore(file, tools);
  return {
    open: (keys) => openVault(vaultConfig(`sqlite:${file}`, keys), tools),
    store,
    pass: async (ms) => tools.clock.advance(ms),
    atRest: async () => {
      assert.ok((await readdir(directory)).includes('vault.db-wal'), 'the log is part of what is searched');
      return filesOf(directory);
    },
    clear: async () => {
      for await (const page of store.pages()) for (const { record } of page) await store.delete(record, undefined);
      tools.clock.advance(24 * 3_600_000); // every lease and used-up key is over
    },
    dispose: async () => {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
});

describe('sqlite vault', () => {
  let directory: string;
  let files = 0;
  const keys = [newKey('k1')];
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vault-'));
  });
  after(() => rm(directory, { recursive: true }));
  const newFile = () => join(directory, `vault-${++files}.db`);
  const opened: Vault[] = [];
  const open = async (file: string, tools = testTools()) => {
    const vault = await openVault(vaultConfig(`sqlite:${file}`, keys), tools);
    opened.push(vault);
    return vault;
  };
  afterEach(() => Promise.all(opened.splice(0).map((vault) => vault.close())));

  test('is there again after it was closed', async () => {
    const file = newFile();
    const first = await open(file);
    const { generation } = await first.create(ALICE, grantContent());
    assert.equal(await first.once('state', 60_000), true);
    await first.close();
    const second = await open(file);
    assert.equal((await second.read(ALICE))?.generation, generation);
    assert.equal(await second.once('state', 60_000), false);
    await second.close();
  });

  test('what was acknowledged survives kill -9 in the middle of writes', async () => {
    await writeUntilKilled(`sqlite:${newFile()}`, keys);
  });

  test('two processes on one file lose no update', async () => {
    await countTogether(`sqlite:${newFile()}`, keys);
  });

  test('two processes use a key up once', async () => {
    await useUpTogether(`sqlite:${newFile()}`, keys);
  });

  test('many processes can open a new file at the same time', async () => {
    const store = `sqlite:${newFile()}`;
    const children = await Promise.all(
      [1, 2, 3, 4].map(() => startVaultProcess({ store, task: 'ping', rounds: 0 }, keys)),
    );
    for (const child of children) {
      child.go();
      assert.equal(await child.line(), 'answers');
    }
  });

  test('only its owner may read the files', { skip: process.platform === 'win32' }, async () => {
    const file = newFile();
    const vault = await open(file);
    await vault.create(ALICE, grantContent());
    for (const name of [file, `${file}-wal`, `${file}-shm`]) assert.equal((await stat(name)).mode & 0o777, 0o600, name);
    await vault.close();

    await chmod(file, 0o644);
    const tools = testTools();
    await (await open(file, tools)).close();
    assert.match(tools.logged.join(), /warn the vault file can be used by other users .*644/);
  });

  test('a file that another process keeps locked is an error in time, and nobody else waits', async () => {
    const file = newFile();
    const vault = await open(file);
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    const started = performance.now();
    const blocked = assert.rejects(vault.create(ALICE, grantContent()), {
      name: 'VaultError',
      code: 'unavailable',
      message: /locked/,
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(performance.now() - started < 500, 'this thread goes on');
    await blocked;
    assert.ok(performance.now() - started < 3_000);
    other.exec('ROLLBACK');
    await vault.create(ALICE, grantContent());
    other.close();
    await vault.close();
  });

  test('a file that is no vault is refused, and left alone', async () => {
    const text = newFile();
    await writeFile(text, 'something else entirely, long enough to be a header of SQLite'.repeat(40), { mode: 0o600 });
    await assert.rejects(open(text), /vault\.store: .* cannot be used: .*not a database/);
    assert.match(await readFile(text, 'utf8'), /^something else/);

    const foreign = newFile();
    const database = new DatabaseSync(foreign);
    database.exec('CREATE TABLE customers (id INTEGER)');
    database.close();
    await assert.rejects(open(foreign), /an SQLite database of something else/);

    const newer = newFile();
    await (await open(newer)).close();
    const later = new DatabaseSync(newer);
    later.exec('PRAGMA user_version = 99');
    later.close();
    await assert.rejects(open(newer), /written by a newer version of this service \(schema 99, known up to 1\)/);

    await assert.rejects(open(join(directory, 'missing', 'vault.db')), /cannot be used: ENOENT/);
  });

  test('after it was closed it is unavailable', async () => {
    const vault = await open(newFile());
    await vault.close();
    await assert.rejects(vault.read(ALICE), { code: 'unavailable' });
  });

  test('a deleted grant leaves no sealed copy behind once the log is folded in', async () => {
    const file = newFile();
    const vault = await open(file);
    await vault.create(ALICE, grantContent());
    const store = await openSqliteStore(file, testTools());
    let sealed = '';
    for await (const page of store.pages()) sealed = page[0]?.sealed ?? '';
    await store.close();
    await vault.delete(ALICE);
    await vault.close();
    assert.ok(sealed.length > 100);
    assert.ok(!(await readFile(file)).includes(sealed.slice(-60)));
  });
});
