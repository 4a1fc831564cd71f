import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretRef } from '../../../../src/core/secret.ts';
import { openVault } from '../../../../src/upstream/vault/open.ts';
import { ALICE, grantContent, newKey, testTools, vaultConfig } from '../../../support/vault-tools.ts';

test('in memory no key is needed', async () => {
  const vault = await openVault(vaultConfig('memory', []), testTools());
  const { generation } = await vault.create(ALICE, grantContent());
  assert.equal((await vault.read(ALICE))?.generation, generation);
});

test('a store that outlives the process needs a key', async () => {
  for (const store of ['sqlite:/nowhere/vault.db', 'redis://127.0.0.1:1']) {
    await assert.rejects(openVault(vaultConfig(store, []), testTools()), /vault\.keys must hold a key/);
  }
});

test('a key that is no key is named, not shown', async () => {
  const key = new SecretRef({ literal: '' });
  key.read('PLAINTEXT');
  await assert.rejects(openVault({ store: 'memory', keys: [{ id: 'k1', key }] }, testTools()), (error: Error) => {
    assert.match(error.message, /^vault\.keys: "k1" must be 32 bytes in base64/);
    assert.doesNotMatch(error.message, /PLAINTEXT/);
    return true;
  });
  const twice = [newKey('k1'), newKey('k1')];
  await assert.rejects(
    openVault(vaultConfig('memory', twice), testTools()),
    /^Error: vault\.keys: .*"k1" is used twice/,
  );
});
