import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openVault } from '../../src/upstream/vault/open.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { DURABLE, type RedisServer, startRedis } from '../support/redis.ts';
import type { ReplicaAnswer } from '../support/refresher-child.ts';
import { type Replica, type ReplicaOptions, startReplica } from '../support/replica.ts';
import { newKey, testTools, vaultConfig } from '../support/vault-tools.ts';

const key = newKey('k1');

/** Two processes, one real Redis, and a provider that kills the token family when a rotated refresh token comes again. */
describe('replicas on one Redis', { timeout: 120_000 }, () => {
  let redis: RedisServer;
  let vault: Vault;
  let fake: FakeProvider;
  const running: Replica[] = [];
  /** Another one for each test: a killed replica leaves a lease behind. */
  let alice = { issuer: 'https://idp.example.com', subject: '', provider: 'github' };
  let users = 0;

  before(async () => {
    redis = await startRedis({ settings: DURABLE });
  });
  beforeEach(async () => {
    alice = { ...alice, subject: `alice-${++users}` };
    vault = await openVault(vaultConfig(redis.url, [key]), testTools());
    fake = await startProvider({ lifetimeSeconds: 300 });
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((replica) => replica.kill()));
    await vault.close();
    await fake.stop();
  });
  after(() => redis?.dispose());

  const start = async (options: Partial<ReplicaOptions> = {}): Promise<Replica> => {
    const provider = { issuer: fake.issuer };
    const replica = await startReplica({ store: redis.url, key, provider, ...options });
    running.push(replica);
    return replica;
  };
  const connectExpired = () => vault.create(alice, fake.issue(alice.subject, { ageSeconds: 301 }));
  const askAll = (replicas: readonly Replica[], count: number) =>
    Promise.all(Array.from({ length: count }, (_, i) => (replicas[i % replicas.length] as Replica).token(alice)));

  function assertAllFresh(answers: readonly ReplicaAnswer[]): void {
    for (const answer of answers) {
      assert.ok(answer.kind === 'token', JSON.stringify(answer));
      assert.equal(fake.userOf(answer.token), alice.subject);
    }
    assert.equal(fake.reused, 0);
  }

  it('200 parallel calls at expiry: exactly one refresh, all succeed', async () => {
    const replicas = [await start(), await start()];
    await connectExpired();
    const answers = await askAll(replicas, 200);
    assertAllFresh(answers);
    assert.deepEqual(fake.refreshes, [alice.subject]);
  });

  it('calls without a pause over several lifetimes: one refresh per lifetime, no token is ever out of date', async () => {
    fake.lifetimeSeconds = 2;
    const replicas = [await start(), await start()];
    await vault.create(alice, fake.issue(alice.subject));
    const startedMs = Date.now();
    const caller = async (replica: Replica): Promise<number> => {
      let calls = 0;
      for (; Date.now() - startedMs < 9_000; calls++) {
        assertAllFresh([await replica.token(alice)]);
        await delay(2);
      }
      return calls;
    };
    const calls = await Promise.all(replicas.flatMap((replica) => [caller(replica), caller(replica)]));
    assert.ok(
      calls.every((count) => count > 100),
      calls.join(),
    );
    assert.ok(fake.refreshes.length >= 4 && fake.refreshes.length <= 6, `${fake.refreshes.length} refreshes in 9 s`);
  });

  it('one replica is killed while the provider has its request: the other takes over after the lease, all its calls succeed', async () => {
    const limits = { leaseMs: 1_500, holdMs: 1_000 };
    const [first, second] = [await start({ limits }), await start({ limits })];
    await connectExpired();
    fake.trouble = 'hang';
    const lost = first.token(alice);
    await fake.arrived(1);
    await first.kill();
    fake.trouble = undefined;
    const answers = await askAll([second], 100);
    assertAllFresh(answers);
    assert.equal((await lost).kind, 'error');
    assert.deepEqual(fake.refreshes, [alice.subject]);
  });

  it('one replica is killed between the answer and the write: that is lost, and nothing but the account of this user', async () => {
    const bob = { ...alice, subject: `bob-${users}` };
    const limits = { leaseMs: 1_500, holdMs: 1_000 };
    const [first, second] = [await start({ limits }), await start({ limits })];
    await connectExpired();
    await vault.create(bob, fake.issue('bob', { ageSeconds: 301 }));
    const release = fake.hold('after');
    const lost = first.token(alice);
    while (fake.refreshes.length === 0) await delay(5);
    await first.kill();
    release();
    await lost;
    const answer = await second.token(alice);
    assert.ok(answer.kind === 'unconnected' && answer.why === 'revoked', JSON.stringify(answer));
    assert.equal((await second.token(bob)).kind, 'token');
  });

  it('the same at a provider that takes the last refresh token once more: nothing is lost', async () => {
    fake.forgives = ({ user }) => user === alice.subject;
    const limits = { leaseMs: 1_500, holdMs: 1_000 };
    const [first, second] = [await start({ limits }), await start({ limits })];
    await connectExpired();
    const release = fake.hold('after');
    const lost = first.token(alice);
    while (fake.refreshes.length === 0) await delay(5);
    await first.kill();
    release();
    await lost;
    assertAllFresh(await askAll([second], 20));
    assert.deepEqual(fake.refreshes, [alice.subject, alice.subject]);
  });

  it('Redis is killed while the provider answers, and started again: the rotated token is stored, one refresh, all calls succeed', async () => {
    const replicas = [await start(), await start()];
    await connectExpired();
    const release = fake.hold('after');
    const answers = askAll(replicas, 200);
    while (fake.refreshes.length === 0) await delay(5);
    await delay(100); // the other replica waits for its turn now
    await redis.kill();
    release();
    await delay(500);
    await redis.start();
    const settled = await answers;
    // Who was waiting for a turn heard that Redis is away; who had the turn went on.
    for (const answer of settled)
      assert.ok(
        answer.kind === 'token' || (answer.kind === 'unavailable' && answer.why === 'vault_unavailable'),
        JSON.stringify(answer),
      );
    assert.ok(settled.filter(({ kind }) => kind === 'token').length >= 100);
    for (
      let answer = await replicas[1]?.token(alice), end = Date.now() + 10_000;
      answer?.kind !== 'token';
      answer = await replicas[1]?.token(alice)
    ) {
      assert.ok(Date.now() < end);
      await delay(50);
    }
    assertAllFresh(await askAll(replicas, 200));
    assert.deepEqual(fake.refreshes, [alice.subject]);
  });

  it('the provider hangs: 503 in time, the grant stays; when it answers again, one refresh', async () => {
    const limits = { leaseMs: 1_000, holdMs: 500 };
    const replicas = [await start({ limits }), await start({ limits })];
    await connectExpired();
    fake.trouble = 'hang';
    const startedMs = Date.now();
    for (const answer of await askAll(replicas, 50)) {
      assert.ok(answer.kind === 'unavailable', JSON.stringify(answer));
      assert.ok(answer.why === 'timeout' && (answer.retryAfterSeconds ?? 0) >= 1, JSON.stringify(answer));
    }
    assert.ok(Date.now() - startedMs < 5_000);
    assert.ok(await vault.read(alice));
    fake.trouble = undefined;
    await delay(1_100);
    assertAllFresh(await askAll(replicas, 200));
    assert.deepEqual(fake.refreshes, [alice.subject]);
  });

  it('a caller that waits in vain stops at its own deadline', async () => {
    const replica = await start();
    await connectExpired();
    fake.trouble = 'hang';
    const startedMs = Date.now();
    const answer = await replica.token(alice, 200);
    assert.ok(answer.kind === 'error' && answer.why === 'TimeoutError', JSON.stringify(answer));
    assert.ok(Date.now() - startedMs < 2_000);
  });

  for (const [name, skews] of [
    ['an hour apart', [-3_600_000, 0]],
    ['an hour each way', [3_600_000, -3_600_000]],
    ['three seconds apart', [3_000, 0]],
  ] as const) {
    it(`clocks ${name}, tokens that live for five minutes: exactly one refresh, all succeed, and it stays so`, async () => {
      const replicas = [await start({ skewMs: skews[0] }), await start({ skewMs: skews[1] })];
      // Expired by every clock.
      const content = fake.issue(alice.subject, { ageSeconds: 301 });
      await vault.create(alice, {
        ...content,
        issuedAtMs: content.issuedAtMs - 7_200_000,
        expiresAtMs: (content.expiresAtMs ?? 0) - 7_200_000,
      });
      assertAllFresh(await askAll(replicas, 200));
      assertAllFresh(await askAll(replicas, 100));
      await delay(3_000); // long enough for another look into the vault
      assertAllFresh(await askAll(replicas, 100));
      assert.deepEqual(fake.refreshes, [alice.subject]);
    });
  }
});
