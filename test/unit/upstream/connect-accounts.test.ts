import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createSealer } from '../../../src/core/seal.ts';
import { createConnectedAccounts } from '../../../src/upstream/connect-accounts.ts';
import type { RevokeOutcome } from '../../../src/upstream/provider.ts';
import { createMemoryStore } from '../../../src/upstream/vault/memory.ts';
import { createRun } from '../../../src/upstream/vault/operations.ts';
import { createVault } from '../../../src/upstream/vault/sealed-vault.ts';
import type { Grant, GrantContent, GrantKey, Vault } from '../../../src/upstream/vault/vault.ts';
import { grantContent } from '../../support/vault-tools.ts';
import { bounded, testTools } from '../authn/support.ts';

const ALICE = { issuer: 'https://idp.example.com', subject: 'alice' };
const KEY: GrantKey = { ...ALICE, provider: 'github' };
const CONTENT = grantContent({ requestedScopes: ['repo'], expiresAtMs: Date.UTC(2026, 0, 2) });

function world(revoke: (grant: GrantContent, vault: Vault, signal: AbortSignal) => Promise<RevokeOutcome>) {
  const tools = testTools();
  const store = createMemoryStore(tools.clock);
  const sealer = createSealer([{ id: 'k1', key: randomBytes(32) }], 'vault');
  const vault = createVault(store, sealer, createRun(tools.metrics, 1_000));
  const revoked: GrantContent[] = [];
  const github = {
    name: 'github',
    scopes: ['repo'],
    revoke: (grant: GrantContent, signal: AbortSignal) => {
      revoked.push(grant);
      return revoke(grant, vault, signal);
    },
  };
  const changed: GrantKey[] = [];
  const accounts = createConnectedAccounts({
    vault,
    providers: new Map([['github', github]]),
    onChanged: (key) => void changed.push(key),
    clock: tools.clock,
    revocationLimitMs: 200,
  });
  return { vault, github, revoked, changed, accounts, tools };
}

const ok = async (): Promise<RevokeOutcome> => ({ kind: 'revoked' });

test('disconnect: a grant from another server goes, and the present one hears nothing of it', async () => {
  const { vault, accounts, github, revoked } = world(ok);
  await vault.create(KEY, { ...CONTENT, issuedBy: 'before' });
  const now = { ...github, issuedBy: 'now' };
  assert.deepEqual(await accounts.disconnect(ALICE, now), { existed: true, revocation: 'provider_changed' });
  assert.deepEqual([revoked.length, await vault.read(KEY)], [0, undefined]);
  await vault.create(KEY, CONTENT); // of an earlier version
  assert.equal((await accounts.disconnect(ALICE, now)).revocation, 'revoked');
});

test('disconnect: revoked first, then deleted, then forgotten', async () => {
  const order: string[] = [];
  const { vault, accounts, github, changed } = world(async (_grant, store) => {
    order.push((await store.read(KEY)) ? 'revoked while stored' : 'revoked after');
    return { kind: 'revoked' };
  });
  await vault.create(KEY, CONTENT);
  assert.deepEqual(await accounts.disconnect(ALICE, github), { existed: true, revocation: 'revoked' });
  assert.deepEqual(order, ['revoked while stored']);
  assert.equal(await vault.read(KEY), undefined);
  assert.deepEqual(changed, [KEY]);
});

test('a refresh that wins the race is revoked and deleted too', async () => {
  let rounds = 0;
  const { vault, accounts, github, revoked } = world(async (grant, store) => {
    if (rounds++ === 0) await store.compareAndSet(KEY, (grant as Grant).generation, { ...CONTENT, refreshedAtMs: 1 });
    return { kind: 'revoked' };
  });
  await vault.create(KEY, CONTENT);
  assert.deepEqual(await accounts.disconnect(ALICE, github), { existed: true, revocation: 'revoked' });
  assert.deepEqual(
    revoked.map(({ refreshedAtMs }) => refreshedAtMs),
    [CONTENT.refreshedAtMs, 1],
  );
  assert.equal(await vault.read(KEY), undefined);
});

test('refreshes without end do not keep it alive', async () => {
  const { vault, accounts, github, revoked } = world(async (grant, store) => {
    await store.compareAndSet(KEY, (grant as Grant).generation, CONTENT);
    return { kind: 'revoked' };
  });
  await vault.create(KEY, CONTENT);
  assert.equal((await accounts.disconnect(ALICE, github)).existed, true);
  assert.equal(revoked.length, 3);
  assert.equal(await vault.read(KEY), undefined);
});

test('whatever the provider does, the grant goes', async () => {
  const outcomes: [RevokeOutcome, string][] = [
    [{ kind: 'unsupported' }, 'unsupported'],
    [{ kind: 'failed', fault: 'timeout' }, 'timeout'],
    [{ kind: 'failed', fault: 'client_rejected' }, 'client_rejected'],
  ];
  for (const [outcome, revocation] of outcomes) {
    const { vault, accounts, github } = world(async () => outcome);
    await vault.create(KEY, CONTENT);
    assert.deepEqual(await accounts.disconnect(ALICE, github), { existed: true, revocation });
    assert.equal(await vault.read(KEY), undefined);
  }
});

test('a provider that hangs is given up', async () => {
  const { vault, accounts, github } = world(
    (_grant, _vault, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve({ kind: 'failed', fault: 'timeout' }));
      }),
  );
  await vault.create(KEY, CONTENT);
  assert.deepEqual(await accounts.disconnect(ALICE, github), { existed: true, revocation: 'timeout' });
});

test('nothing there: nothing is revoked', async () => {
  const { accounts, github, revoked } = world(ok);
  assert.deepEqual(await accounts.disconnect(ALICE, github), { existed: false, revocation: 'none' });
  assert.deepEqual(revoked, []);
});

test('connect replaces what is there, without ending it at the provider', async () => {
  const { accounts, vault, revoked, changed } = world(ok);
  const before = await vault.create(KEY, CONTENT);
  await accounts.connect(ALICE, 'github', { ...CONTENT, scopes: ['new'] }, bounded());
  const after = await vault.read(KEY);
  assert.deepEqual(after?.scopes, ['new']);
  assert.notEqual(after.generation, before.generation);
  assert.deepEqual(revoked, []);
  assert.deepEqual(changed, [KEY]);
});

test('what is told about an account', async () => {
  const { accounts, vault, tools } = world(ok);
  const told = async (content: GrantContent) => {
    await vault.create(KEY, content);
    const account = await accounts.find(ALICE, 'github', bounded());
    return account.kind === 'connected' ? account.ended : account.kind;
  };
  assert.deepEqual(await accounts.list(ALICE, bounded()), [{ provider: 'github', kind: 'missing' }]);
  const past = tools.time.nowMs - 1;
  const { refreshToken: _, ...unrefreshable } = CONTENT;
  assert.equal(await told(CONTENT), undefined);
  assert.equal(await told({ ...CONTENT, expiresAtMs: past }), undefined, 'it can be refreshed');
  assert.equal(await told({ ...unrefreshable, expiresAtMs: past }), 'expired');
  assert.equal(await told({ ...unrefreshable, stale: true }), 'expired');
  assert.equal(await told(unrefreshable), undefined);
  assert.equal(await told({ ...CONTENT, requestedScopes: [] }), 'scopes_changed');
});
