import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openVault } from '../../src/upstream/vault/open.ts';
import { connectRedis } from '../../src/upstream/vault/redis-connection.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { type Answer, rpc, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { DURABLE, type RedisServer, startRedis } from '../support/redis.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { testTools, vaultConfig } from '../support/vault-tools.ts';

const KEY_BYTES = randomBytes(32);
/** Longer than a turn to refresh lasts. */
const TAKEOVER_MS = 45_000;

/** Real Envoy, two processes of the service, a real Redis, and a provider that kills the token family on reuse. */
describe('upstream_inject by two replicas behind one Envoy', { timeout: 150_000 }, () => {
  let redis: RedisServer;
  let issuer: FakeIssuer;
  let github: FakeProvider;
  let stack: Stack;
  let vault: Vault;
  let users = 0;
  let alice = '';
  let authorization: string;

  before(async () => {
    redis = await startRedis({ settings: DURABLE });
    issuer = await startIssuer();
    github = await startProvider({ lifetimeSeconds: 300 });
    stack = await startStack({
      extProc: true,
      replicas: 2,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
        upstreamProviders: { github: { issuer: github.issuer, clientId: 'c', clientAuth: 'none' } },
        vault: { store: redis.url, keys: [{ id: 'k1', key: KEY_BYTES.toString('base64') }] },
        connect: { login: { issuer: issuer.issuer, clientId: 'login', clientAuth: 'none' } },
      },
      routes: (origin) => [
        {
          prefix: '/github/mcp',
          policy: {
            backend: 'github',
            resource: `${origin}/github/mcp`,
            incomingAuth: ['corp'],
            outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'github' } },
          },
        },
      ],
    });
    vault = await openVault(vaultConfig(redis.url, [{ id: 'k1', bytes: KEY_BYTES }]), testTools());
    stack.backend.respond = (request, response) => {
      const user = github.userOf((request.headers['authorization'] ?? '').replace('Bearer ', ''));
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { user } }));
    };
  });
  beforeEach(async () => {
    alice = `alice-${++users}`;
    github.refreshes.length = 0;
    const url = `${stack.origin}/github/mcp`;
    authorization = `Bearer ${await issuer.token({ aud: url, sub: alice })}`;
    const key = { issuer: issuer.issuer, subject: alice, provider: 'github' };
    const grant = github.issue(alice, { ageSeconds: 301 });
    for (const end = Date.now() + TAKEOVER_MS; ; await delay(50)) {
      try {
        await vault.create(key, grant);
        return;
      } catch (error) {
        if (Date.now() > end) throw error; // the test's own connection may come back later than the service's
      }
    }
  });
  after(async () => {
    await vault?.close();
    await stack?.stop();
    await Promise.all([issuer?.stop(), github?.stop(), redis?.dispose()]);
  });

  const call = (): Promise<Answer> =>
    rpc(`${stack.origin}/github/mcp`, toolCall('x'), ['Authorization', authorization]);
  const assertServed = (answers: readonly Answer[]) => {
    for (const answer of answers) {
      assert.equal(answer.status, 200, answer.body);
      assert.equal(answer.json().result.user, alice);
    }
    assert.equal(github.reused, 0);
  };

  it('200 parallel calls at expiry: exactly one refresh, all succeed, both replicas had a part in it', async () => {
    assertServed(await Promise.all(Array.from({ length: 200 }, call)));
    assert.deepEqual(github.refreshes, [alice]);
    for (const service of stack.services) await service.until(() => service.stdout.includes(`"subject":"${alice}"`));
  });

  it('Redis restarts: calls go on with what is in memory, or get 503; then all is as before, with one refresh', async () => {
    assertServed(await Promise.all(Array.from({ length: 20 }, call)));
    await redis.kill();
    for (const answer of await Promise.all(Array.from({ length: 20 }, call)))
      if (answer.status !== 503) assertServed([answer]);
    await redis.start();
    await served();
    assertServed(await Promise.all(Array.from({ length: 100 }, call)));
    assert.deepEqual(github.refreshes, [alice]);
  });

  it('SIGKILL for the replica whose refresh is at the provider: nobody sends the token twice, the other takes over', async () => {
    github.trouble = 'hang';
    const sent = github.tokenRequests().length;
    const arrived = github.arrived(sent + 1);
    let cut = call();
    // A replica without its connection to Redis, which the test before took away, answers 503 and asks nobody.
    while (await Promise.race([arrived.then(() => false), cut.then(() => true)])) {
      await delay(50);
      cut = call();
    }
    const holder = await pidOfTurn();
    const service = stack.services.find(({ process: { pid } }) => pid === holder);
    assert.ok(service);
    await service.stop('SIGKILL');
    github.trouble = undefined;
    assert.equal((await cut).status, 503, 'its call went down with it');
    await served();
    assertServed(await Promise.all(Array.from({ length: 200 }, call)));
    assert.deepEqual(github.refreshes, [alice]);
    assert.equal(github.tokenRequests().length, sent + 2);
  });

  /** Process that holds the turn to refresh: who asked for it stands in its lease. */
  async function pidOfTurn(): Promise<number> {
    const admin = await connectRedis(redis.url, testTools().log, () => {});
    const [name = ''] = (await admin.command('KEYS', 'emi:held:*')) as string[];
    const held = (await admin.command('GET', name)) as string;
    await admin.close();
    return Number(held.split('-')[0]);
  }

  /** Calls until one is served; what comes before it says when to come back. */
  async function served(): Promise<void> {
    for (const end = Date.now() + TAKEOVER_MS; ; await delay(200)) {
      const answer = await call();
      if (answer.status === 200) return assertServed([answer]);
      assert.equal(answer.status, 503, answer.body);
      assert.ok(Date.now() < end, answer.body);
    }
  }
});
