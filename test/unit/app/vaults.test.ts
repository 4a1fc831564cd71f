import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Vaults } from '../../../src/app/vaults.ts';
import { upstreamProviderSchema } from '../../../src/upstream/schema.ts';
import { ALICE, BOB, grantContent, newKey, type TestKey, testTools, vaultConfig } from '../../support/vault-tools.ts';

describe('vaults over changes of the configuration', () => {
  const github = upstreamProviderSchema.parse({ issuer: 'https://github.example', clientId: 'c', clientSecret: 's' });
  const needs = (keys: readonly TestKey[], more: { dpop?: string; providers?: object } = {}) => ({
    incomingAuth: { corp: { type: 'jwt', dpop: more.dpop ?? 'off' } },
    upstreamProviders: { ...(more.providers ?? { github }) } as Record<string, typeof github>,
    vault: vaultConfig('memory', keys),
  });
  const signal = AbortSignal.timeout(10_000);

  it('a vault in memory keeps its accounts, and opens them with rotated keys', async () => {
    const vaults = new Vaults(testTools());
    const [k1, k2] = [newKey('k1'), newKey('k2')];
    const first = await vaults.use(needs([k1]));
    first.begin();
    await first.grants!.create(ALICE, grantContent());
    const second = await vaults.use(needs([k2, k1]));
    await first.grants!.create(BOB, grantContent());
    second.begin();
    assert.equal(second.grants, first.grants);
    assert.ok(await second.grants!.read(ALICE), 'sealed before');
    await first.grants!.create(BOB, grantContent());
    const third = await vaults.use(needs([k2]));
    third.begin();
    assert.ok(await third.grants!.read(BOB), 'what the generation before writes is sealed with the new key');
    await assert.rejects(third.grants!.read(ALICE), { code: 'unknown_key' });
    await vaults.close();
  });

  it('a configuration without providers in between loses nothing', async () => {
    const vaults = new Vaults(testTools());
    const key = newKey('k1');
    const first = await vaults.use(needs([key]));
    await first.grants!.create(ALICE, grantContent());
    const none = await vaults.use(needs([key], { providers: {} }));
    none.begin();
    assert.equal(none.grants, undefined);
    assert.equal(await none.trouble(), undefined);
    assert.ok(await (await vaults.use(needs([key]))).grants!.read(ALICE));
  });

  it('a DPoP proof that was used stays used, also when the vault gets its first key', async () => {
    const vaults = new Vaults(testTools());
    const before = await vaults.use(needs([], { dpop: 'required' }));
    assert.equal(await before.once('proof', 60_000, signal), true);
    const same = await vaults.use(needs([], { dpop: 'allowed' }));
    assert.equal(await same.once('proof', 60_000, signal), false);
    const sealed = await vaults.use(needs([newKey('k1')], { dpop: 'required' }));
    assert.equal(await sealed.once('proof', 60_000, signal), false);
    assert.equal(await sealed.once('another', 60_000, signal), true);
    assert.equal(await sealed.once('another', 60_000, signal), false);
    await assert.rejects((await vaults.use(needs([]))).once('x', 1_000, signal));
  });

  it('wrong keys are told before they are used', async () => {
    const vaults = new Vaults(testTools());
    const key = newKey('k1');
    const first = await vaults.use(needs([key]));
    first.begin();
    await first.grants!.create(ALICE, grantContent());
    await assert.rejects(vaults.use(needs([key, { ...newKey('k1') }])), /used twice/);
    assert.ok(await first.grants!.read(ALICE));
  });

  it('a store that a rejected configuration has named binds nobody', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'emi-vaults-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const vaults = new Vaults(testTools());
    t.after(() => vaults.close());
    const key = newKey('k1');
    const at = (name: string) => ({ ...needs([key]), vault: vaultConfig(`sqlite:${join(folder, name)}`, [key]) });
    await vaults.use(at('mistyped.db')); // and something else is wrong: it never begins
    assert.equal(vaults.store, undefined);
    const right = await vaults.use(at('vault.db'));
    right.begin();
    await right.grants!.create(ALICE, grantContent());
    assert.equal(vaults.store, at('vault.db').vault.store);
    const again = await vaults.use(at('vault.db'));
    assert.equal(again.grants, right.grants);
    assert.ok(readdirSync(folder).includes('vault.db'));
  });
});
