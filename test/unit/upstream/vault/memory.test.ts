import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../../../../src/upstream/vault/memory.ts';
import { testTools } from '../../../support/vault-tools.ts';

test('used-up keys are bounded: expired ones make room, live ones are never forgotten', async () => {
  const { clock } = testTools();
  const store = createMemoryStore(clock, 2_000);
  for (let i = 0; i < 2_000; i++) assert.equal(await store.hold(`key ${i}`, '1', 60_000), true);
  const full = { name: 'VaultError', code: 'unavailable' };
  await assert.rejects(store.hold('one more', '1', 60_000), full);
  await assert.rejects(store.hold('one more', '1', 60_000), full);
  assert.equal(await store.hold('key 0', '1', 60_000), false, 'still used up');
  assert.equal(await store.letGo('key 1', '1'), true);
  clock.advance(1_000);
  assert.equal(await store.hold('one more', '1', 60_000), true, 'what was let go made room');

  clock.advance(60_000);
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 1_500; i++) assert.equal(await store.hold(`round ${round}, key ${i}`, '1', 1_000), true);
    clock.advance(1_001);
  }
});
