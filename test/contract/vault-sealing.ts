import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recordKeyOf } from '../../src/upstream/vault/record-key.ts';
import type { StoredRecord } from '../../src/upstream/vault/store.ts';
import { VaultError } from '../../src/upstream/vault/vault-error.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { ALICE, BOB, grantContent, newKey } from '../support/vault-tools.ts';
import type { Contract } from './vault-suite.ts';

async function listed(vault: Vault) {
  const entries = [];
  for await (const entry of vault.list()) entries.push(entry);
  return entries;
}

/** Damage, keys, and what a thief finds. */
export function lastingCases(contract: Contract): void {
  const aliceRecord = recordKeyOf(ALICE);
  const stored = async (record: string): Promise<StoredRecord> => {
    const found = await contract.harness.store.read(record);
    assert.ok(found);
    return found;
  };

  const damages: Record<string, (alice: StoredRecord, bob: StoredRecord) => StoredRecord> = {
    'another user’s grant in its place': (alice, bob) => ({ ...alice, sealed: bob.sealed, generation: bob.generation }),
    'another generation': (alice) => ({ ...alice, generation: alice.generation + 1 }),
    'another provider': (alice) => ({ ...alice, provider: 'gitlab' }),
    'a changed byte': (alice) => ({
      ...alice,
      sealed: alice.sealed.replace(/.(?=.{40}$)/, (c) => (c === 'A' ? 'B' : 'A')),
    }),
    'a lost end': (alice) => ({ ...alice, sealed: alice.sealed.slice(0, alice.sealed.length & ~3).slice(0, -4) }),
    nothing: (alice) => ({ ...alice, sealed: '' }),
  };
  for (const [name, damage] of Object.entries(damages)) {
    test(`a damaged record is named and kept: ${name}`, async () => {
      const vault = await contract.open();
      await vault.create(ALICE, grantContent());
      await vault.create(BOB, grantContent());
      const original = await stored(aliceRecord);
      const damaged = damage(original, await stored(recordKeyOf(BOB)));
      await contract.harness.store.put(damaged);

      await assert.rejects(vault.read(ALICE), (error: unknown) => {
        assert.ok(error instanceof VaultError);
        assert.equal(error.code, 'damaged');
        assert.equal(error.record, aliceRecord);
        assert.match(error.message, new RegExp(aliceRecord));
        if (damaged.sealed) assert.match(error.message, /"k1"/);
        assert.doesNotMatch(error.message, /alice|PLAINTEXT/);
        return true;
      });
      assert.deepEqual({ ...(await stored(aliceRecord)) }, damaged, 'still there, as it was');
      assert.ok(await vault.read(BOB), 'others go on');
      const unreadable = (await listed(vault)).filter((entry) => entry.kind === 'unreadable');
      assert.deepEqual(
        unreadable.map(({ record, fault }) => ({ record, fault })),
        [{ record: aliceRecord, fault: 'damaged' }],
      );

      await contract.harness.store.put(original);
      assert.ok(await vault.read(ALICE), 'mended from outside');
      await contract.harness.store.put(damaged);
      assert.equal(await vault.deleteRecord(aliceRecord), true);
      assert.equal(await vault.read(ALICE), undefined);
    });
  }

  test('a connected account can be connected again over a damaged record', async () => {
    const vault = await contract.open();
    await vault.create(ALICE, grantContent());
    await contract.harness.store.put({ ...(await stored(aliceRecord)), sealed: 'x' });
    const { generation } = await vault.create(ALICE, grantContent());
    assert.equal((await vault.read(ALICE))?.generation, generation);
  });

  test('without its key a grant stays sealed, and is named', async () => {
    const written = await contract.open(newKey('old'));
    await written.create(ALICE, grantContent());
    const vault = await contract.open(newKey('new'));
    await assert.rejects(vault.read(ALICE), (error: unknown) => {
      assert.ok(error instanceof VaultError);
      assert.deepEqual([error.code, error.record, error.keyId], ['unknown_key', aliceRecord, 'old']);
      assert.match(error.message, /"old"/);
      return true;
    });
    assert.deepEqual(
      (await listed(vault)).map(({ kind, provider, ...rest }) => [kind, provider, 'keyId' in rest && rest.keyId]),
      [['unreadable', 'github', 'old']],
    );
    assert.ok(await written.read(ALICE), 'nothing was deleted');
  });

  test('another key under the same name opens nothing', async () => {
    const written = await contract.open(newKey('k'));
    await written.create(ALICE, grantContent());
    const vault = await contract.open(newKey('k'));
    await assert.rejects(vault.read(ALICE), { name: 'VaultError', code: 'damaged', keyId: 'k' });
    assert.ok(await written.read(ALICE));
  });

  test('keys rotate: the first seals, all open', async () => {
    const [old, fresh] = [newKey('2026'), newKey('2027')];
    const { generation } = await (await contract.open(old)).create(ALICE, grantContent());
    const rotating = await contract.open(fresh, old);
    assert.equal((await rotating.read(ALICE))?.generation, generation);
    assert.equal(await rotating.compareAndSet(ALICE, generation, grantContent()), 'stored');
    assert.ok(await (await contract.open(fresh)).read(ALICE), 'sealed again with the new key');
    await assert.rejects((await contract.open(old)).read(ALICE), { code: 'unknown_key', keyId: '2027' });
  });

  test('no token and no person can be read at rest', async () => {
    const vault = await contract.open();
    const { generation } = await vault.create(ALICE, grantContent());
    await vault.compareAndSet(ALICE, generation, grantContent());
    await vault.lease('refresh of alice@example.com', 60_000, 'me');
    await vault.once('ticket of alice@example.com', 60_000);
    const bytes = await contract.harness.atRest();
    assert.ok(bytes.includes(aliceRecord), 'the record itself is there');
    for (const secret of ['PLAINTEXT', 'alice', 'idp.example', 'read:user', contract.key.bytes]) {
      assert.ok(!bytes.includes(secret), String(secret));
      assert.ok(!bytes.includes(Buffer.from(secret).toString('base64url').slice(0, -2)), `${String(secret)} in base64`);
    }
  });
}
