import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { hashSync } from 'bcryptjs';
import { send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** Each from an address of its own, or the network's limit would stop them at once. */
const STRANGERS = 40;
const GUESSES_EACH = 5;

/** Guesses cost a hash each, of about a tenth of a second. */
describe('a flood of guesses at passwords', { timeout: 60_000 }, () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const basic = (user: string, password: string) => [
    'Authorization',
    `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
  ];
  const call = async (headers: readonly string[], localAddress = '127.0.0.1') =>
    send(`${stack.origin}/all/mcp`, {
      method: 'POST',
      headers: ['Content-Type', 'application/json', ...headers],
      body: JSON.stringify(toolCall('x')),
      localAddress,
      limitMs: 30_000,
    });

  before(async () => {
    issuer = await startIssuer();
    const user = (username: string) => ({
      username,
      passwordHash: hashSync(`${username}-s3cret`, 10),
      subject: username,
    });
    stack = await startStack({
      // Generous: the service is to say itself that it is too much, and the machine may be busy.
      extAuthz: { grpc_service: { envoy_grpc: { cluster_name: 'identity_grpc' }, timeout: '30s' } },
      config: {
        incomingAuth: {
          corp: { type: 'jwt', issuer: issuer.issuer },
          ci: {
            type: 'api_key',
            keys: [{ id: 'bot', sha256: createHash('sha256').update('key').digest('hex'), subject: 'bot' }],
          },
          legacy: { type: 'basic', users: [user('alice'), user('bob')] },
        },
      },
      routes: (origin) => [
        {
          prefix: '/all/mcp',
          policy: {
            backend: 'all',
            resource: `${origin}/all/mcp`,
            incomingAuth: ['corp', 'ci', 'legacy'],
            outgoingAuth: { type: 'claim_injection' },
          },
        },
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });

  it('is bounded, and everybody else is answered meanwhile', async () => {
    const bob = basic('bob', 'bob-s3cret');
    assert.equal((await call(bob, '127.0.1.1')).status, 200);
    const jwt = ['Authorization', `Bearer ${await issuer.token({ aud: `${stack.origin}/all/mcp`, sub: 'carol' })}`];

    const pending = new Set<number>();
    const guess = async (user: string, i: number, from: string) => {
      pending.add(i);
      const { status, headers } = await call(basic(user, `guess-${i}`), from).finally(() => pending.delete(i));
      if (status !== 401) assert.ok(Number(headers['retry-after']) >= 1, `${status} says when to come back`);
      return { user, status };
    };
    const flood = Array.from({ length: STRANGERS * GUESSES_EACH }, (_, i) => {
      const stranger = i % STRANGERS;
      // Half of them at the one user, half at names that nobody has.
      return guess(stranger % 2 === 0 ? 'alice' : `nobody-${stranger}`, i, `127.0.2.${stranger + 1}`);
    });
    const flooded = Promise.all(flood);
    flooded.catch(() => {}); // told when it is waited for
    const others: Record<string, number[]> = { jwt: [], key: [], bob: [] };
    do {
      const answers = await Promise.all([call(jwt), call(['X-Api-Key', 'key']), call(bob, '127.0.1.1')]);
      if (pending.size === 0) break;
      // They came and went while guesses were waiting.
      for (const [i, list] of Object.values(others).entries()) list.push(answers[i]?.status ?? 0);
    } while (pending.size > 0);
    const answers = await flooded;

    for (const [who, statuses] of Object.entries(others)) {
      assert.ok(statuses.length >= 5, `${who}: ${statuses.length} calls during the flood`);
      assert.deepEqual(new Set(statuses), new Set([200]), who);
    }
    const count = (status: number, who = /./) =>
      answers.filter((answer) => answer.status === status && who.test(answer.user)).length;
    assert.equal(count(401) + count(429) + count(503), answers.length, 'nobody has got in');
    assert.ok(count(401, /alice/) <= 10, `${count(401, /alice/)} guesses at one user were judged`);
    assert.ok(count(429, /alice/) > 0);
    assert.equal(stack.backend.seen.filter(({ headers }) => headers['x-user-sub'] === 'alice').length, 0);

    const metrics = await stack.metrics();
    const checks = (outcome: string) =>
      Number(
        new RegExp(`password_checks_total\\{method="legacy",outcome="${outcome}"\\} (\\d+)`).exec(metrics)?.[1] ?? 0,
      );
    assert.equal(checks('throttled'), count(429));
    assert.ok(checks('wrong') >= count(401), 'no guess was judged without a hash');
    assert.ok(checks('wrong') <= 10 + (STRANGERS / 2) * GUESSES_EACH, 'and no more were hashed than the limits let in');
    assert.equal(checks('right'), 1, 'bob was hashed once');
  });
});
