import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openSqliteStore } from '../../../../src/upstream/vault/sqlite.ts';
import { startSqliteThread } from '../../../../src/upstream/vault/sqlite-thread.ts';
import type { SqliteThread } from '../../../../src/upstream/vault/sqlite-thread.ts';
import { testTools } from '../../../support/vault-tools.ts';

test('when its thread dies the store starts another one, once for all who wait', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'vault-'));
  context.after(() => rm(directory, { recursive: true }));
  const threads: { thread: SqliteThread; dead: boolean }[] = [];
  const store = await openSqliteStore(join(directory, 'vault.db'), testTools(), async (input) => {
    const started = { thread: await startSqliteThread(input), dead: false };
    threads.push(started);
    return {
      call: (operation, ...args) => started.thread.call(operation, ...args),
      get ended() {
        return started.dead || started.thread.ended;
      },
    };
  });
  const record = { record: 'r', generation: 1, provider: 'github', sealed: 'x' };
  await store.put(record);
  assert.equal(threads.length, 1);

  const [first] = threads;
  assert.ok(first);
  await first.thread.call('close');
  first.dead = true;
  const answers = await Promise.all([store.read('r'), store.read('r'), store.read('r')]);
  for (const answer of answers) assert.deepEqual({ ...answer }, record);
  assert.equal(threads.length, 2);
  await store.close();
  await assert.rejects(store.read('r'), { code: 'unavailable' });
  assert.equal(threads.length, 2);
});
