import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createEgress } from '../../src/net/egress.ts';
import { createProvider } from '../../src/upstream/provider.ts';
import { createRefresher, type Refresher } from '../../src/upstream/refresher.ts';
import type { UpstreamAnswer } from '../../src/upstream/upstream-answer.ts';
import { openVault } from '../../src/upstream/vault/open.ts';
import { VaultError } from '../../src/upstream/vault/vault-error.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { newKey, type TestTools, testTools, vaultConfig } from '../support/vault-tools.ts';
import { providerConfig, testAudit } from '../unit/upstream/support.ts';

const KEY = { issuer: 'https://idp.example.com', subject: 'alice', provider: 'github' };
const LIFETIME_SECONDS = 300;

type Trouble = FakeProvider['trouble'];

interface Fault {
  readonly name: string;
  readonly trouble?: Trouble;
  /** The vault's part in it. */
  readonly vault?: (vault: Vault) => Partial<Vault>;
  /** What is sent while the token is expired. */
  readonly reason: string;
  readonly retryAfterSeconds?: number;
}

const away = () => Promise.reject(new VaultError('unavailable', 'away'));

const FAULTS: readonly Fault[] = [
  {
    name: '429 with Retry-After',
    trouble: { status: 429, headers: { 'retry-after': '5' } },
    reason: 'rate_limited',
    retryAfterSeconds: 5,
  },
  { name: '500', trouble: { status: 500 }, reason: 'server_error' },
  {
    name: '503 of a gateway that says invalid_grant',
    trouble: { status: 503, error: 'invalid_grant' },
    reason: 'server_error',
  },
  { name: 'no answer', trouble: 'hang', reason: 'timeout' },
  { name: 'connection cut', trouble: 'hang-up', reason: 'network' },
  { name: 'invalid_client', trouble: { status: 401, error: 'invalid_client' }, reason: 'client_rejected' },
  { name: 'invalid_scope', trouble: { status: 400, error: 'invalid_scope' }, reason: 'rejected' },
  { name: 'garbage', trouble: 'garbage', reason: 'malformed' },
  { name: 'redirect', trouble: 'redirect', reason: 'malformed' },
  { name: 'lease cannot be taken', vault: () => ({ lease: away }), reason: 'vault_unavailable' },
];

describe('fault table: failure × {token still valid, expired} → answer, grant, recovery', { timeout: 60_000 }, () => {
  let fake: FakeProvider;
  let vault: Vault;
  let tools: TestTools;
  let refresher: Refresher;
  /** What the vault does differently at the moment. */
  let changes: Partial<Vault>;

  beforeEach(async () => {
    fake = await startProvider({ lifetimeSeconds: LIFETIME_SECONDS });
    tools = testTools();
    vault = await openVault(vaultConfig('memory', [newKey('k1')]), tools);
    changes = {};
    const troubled = new Proxy(vault, {
      get: (target, name) => Reflect.get({ ...target, ...changes }, name) as unknown,
    });
    const egress = createEgress({ log: tools.log, metrics: tools.metrics, timeoutMs: 200 });
    const provider = createProvider('github', providerConfig({ issuer: fake.issuer }), tools, egress);
    const providers = new Map([['github', provider]]);
    refresher = createRefresher({
      vault: troubled,
      providers,
      tools,
      audit: testAudit(),
      ownerId: 'a',
      limits: { graceMs: 0, holdMs: 500 },
    });
    await provider.prepare(AbortSignal.timeout(1_000));
  });
  afterEach(async () => {
    await refresher.close();
    await vault.close();
    await fake.stop();
  });

  const ask = async (): Promise<UpstreamAnswer> => refresher.token(KEY, 'github', AbortSignal.timeout(5_000));
  /** In its last fifth, but not in its last tenth. */
  const connect = (state: 'valid' | 'expired') =>
    vault.create(
      KEY,
      fake.issue('alice', { ageSeconds: state === 'valid' ? LIFETIME_SECONDS * 0.85 : LIFETIME_SECONDS + 1 }),
    );
  const ended = async (count: number): Promise<void> => {
    for (const end = Date.now() + 5_000; ; await delay(5)) {
      const text = await tools.metrics.text();
      const sum = [...text.matchAll(/mcp_identity_upstream_refreshes_total\{.*?\} (\d+)/g)].reduce(
        (total, [, n]) => total + Number(n),
        0,
      );
      if (sum >= count) return;
      assert.ok(Date.now() < end, text);
    }
  };
  const text = (answer: UpstreamAnswer) =>
    answer.kind === 'token' ? answer.accessToken.reveal() : JSON.stringify(answer);

  for (const { name, trouble, vault: change, reason, retryAfterSeconds = 1 } of FAULTS) {
    const recover = async () => {
      fake.trouble = undefined;
      changes = {};
      tools.clock.advance(retryAfterSeconds * 1_000);
      return ask();
    };

    it(`${name} × valid: the old token serves, the grant stays, refreshed without a person`, async () => {
      const grant = await connect('valid');
      fake.trouble = trouble;
      changes = change?.(vault) ?? {};
      assert.equal(text(await ask()), grant.accessToken.reveal());
      await ended(1);
      assert.equal(text(await ask()), grant.accessToken.reveal());
      assert.equal((await vault.read(KEY))?.generation, grant.generation);
      assert.equal(fake.refreshes.length, 0);
      let fresh = text(await recover());
      for (
        const end = Date.now() + 5_000;
        fresh === grant.accessToken.reveal() && Date.now() < end;
        fresh = text(await ask())
      )
        await delay(5);
      assert.notEqual(fresh, grant.accessToken.reveal());
      assert.equal(fake.userOf(fresh), 'alice');
      assert.equal(fake.reused, 0);
    });

    it(`${name} × expired: 503 ${reason}, the grant stays, refreshed without a person`, async () => {
      const grant = await connect('expired');
      fake.trouble = trouble;
      changes = change?.(vault) ?? {};
      const expected = { kind: 'unavailable', reason, retryAfterSeconds };
      assert.deepEqual(await ask(), expected);
      const sent = fake.tokenRequests().length;
      assert.deepEqual(await ask(), expected);
      assert.equal(fake.tokenRequests().length, sent, 'not asked again before the time');
      assert.equal((await vault.read(KEY))?.generation, grant.generation);
      assert.equal(fake.userOf(text(await recover())), 'alice');
      assert.equal(fake.reused, 0);
    });
  }

  it('invalid_grant × valid: the old token serves a last time, the grant goes, the user is asked to connect', async () => {
    const grant = await connect('valid');
    fake.trouble = { status: 400, error: 'invalid_grant' };
    assert.equal(text(await ask()), grant.accessToken.reveal());
    await ended(1);
    assert.deepEqual(await ask(), { kind: 'unconnected', why: 'never' });
    assert.equal(await vault.read(KEY), undefined);
    fake.trouble = undefined;
    const again = await connect('valid');
    assert.equal(text(await ask()), again.accessToken.reveal());
  });

  it('invalid_grant × expired: the grant goes, the user is asked to connect', async () => {
    await connect('expired');
    fake.trouble = { status: 400, error: 'invalid_grant' };
    assert.deepEqual(await ask(), { kind: 'unconnected', why: 'revoked' });
    assert.equal(await vault.read(KEY), undefined);
  });

  it('the vault does not take the new token × expired: calls wait; stored once it is back, with one refresh', async () => {
    await connect('expired');
    changes = { compareAndSet: away };
    const answer = ask();
    await fake.arrived(1);
    await delay(100);
    assert.equal(fake.refreshes.length, 1);
    changes = {};
    const fresh = text(await answer);
    assert.equal(fake.userOf(fresh), 'alice');
    assert.equal((await vault.read(KEY))?.accessToken.reveal(), fresh);
    assert.equal(fake.refreshes.length, 1);
  });

  it('the vault does not take the new token × valid: the old one serves meanwhile', async () => {
    const grant = await connect('valid');
    changes = { compareAndSet: away };
    assert.equal(text(await ask()), grant.accessToken.reveal());
    await fake.arrived(1);
    assert.equal(text(await ask()), grant.accessToken.reveal());
    changes = {};
    await ended(1);
    assert.equal(fake.userOf(text(await ask())), 'alice');
    assert.equal(fake.refreshes.length, 1);
  });

  for (const state of ['valid', 'expired'] as const) {
    const answered = state === 'valid' ? 'the old token serves' : '503';
    it(`discovery down × ${state}: ${answered}, the grant stays, refreshed without a person`, async () => {
      const other = await startProvider();
      try {
        other.documents = false;
        const egress = createEgress({ log: tools.log, metrics: tools.metrics, timeoutMs: 200 });
        const provider = createProvider('github', providerConfig({ issuer: other.issuer }), tools, egress);
        const second = createRefresher({
          vault,
          providers: new Map([['github', provider]]),
          tools,
          audit: testAudit(),
          ownerId: 'b',
        });
        const ageSeconds = state === 'valid' ? 255 : 301;
        const grant = await vault.create(KEY, other.issue('alice', { lifetimeSeconds: 300, ageSeconds }));
        const call = async () => second.token(KEY, 'github', AbortSignal.timeout(5_000));
        const old = grant.accessToken.reveal();
        const first = await call();
        if (state === 'valid') assert.equal(text(first), old);
        else assert.deepEqual(first, { kind: 'unavailable', reason: 'malformed', retryAfterSeconds: 1 });
        await ended(1);
        assert.equal(other.tokenRequests().length, 0);
        assert.equal((await vault.read(KEY))?.generation, grant.generation);
        other.documents = true;
        tools.clock.advance(1_000);
        let fresh = text(await call());
        for (const end = Date.now() + 5_000; fresh === old && Date.now() < end; fresh = text(await call()))
          await delay(5);
        assert.notEqual(fresh, old);
        assert.equal(other.userOf(fresh), 'alice');
        await second.close();
      } finally {
        await other.stop();
      }
    });
  }
});
