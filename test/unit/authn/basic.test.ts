import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { hashSync } from 'bcryptjs';
import { readAuthorization } from '../../../src/authn/authorization.ts';
import { type BasicLimits, createBasic } from '../../../src/authn/basic.ts';
import { PasswordThrottle } from '../../../src/authn/password-throttle.ts';
import type { IncomingMethod, Outcome } from '../../../src/authn/method.ts';
import { basicSchema } from '../../../src/authn/schema.ts';
import type { Reason } from '../../../src/core/refusal.ts';
import { bounded, requestWith, testTools } from './support.ts';

const MINUTE_MS = 60_000;
const ALICE = hashSync('open sesame', 4);
const SCRYPT = '$scrypt$ln=4,r=8,p=1$c2FsdCBvZiAxNiBieXRlcw$';
const CLAIMS = {
  sub: 'nobody',
  email: 'alice@example.com',
  scope: 'mcp:read',
  act: { sub: 'agent' },
  realm_access: { roles: ['admin'] },
};
const USERS = [
  { username: 'Alice', passwordHash: ALICE, subject: 'alice', claims: CLAIMS },
  { username: 'Zoë', passwordHash: hashSync('pässword', 4), subject: 'zoe' },
];

const methods: IncomingMethod[] = [];
afterEach(() => {
  for (const method of methods.splice(0)) method.close?.();
});

const LIMITS: BasicLimits = { threads: 1, maxWaiting: 64, checkLimitMs: 10_000 };

function kit(users: readonly Record<string, unknown>[] = USERS, limits = LIMITS) {
  const tools = testTools();
  const config = basicSchema.parse({ type: 'basic', users, attributeClaims: { roles: 'realm_access.roles' } });
  const method = createBasic('legacy', config, tools, new PasswordThrottle(1_024), limits);
  methods.push(method);
  const askNow = (authorization: string, address = '192.0.2.1', signal = bounded()) => {
    const facts = requestWith({ authorization });
    return method.authenticate(
      { ...facts, peer: { address, principal: '' } },
      readAuthorization(facts.headers),
      signal,
    );
  };
  const header = (username: string, password: string) =>
    `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const ask = async (authorization: string) => askNow(authorization);
  /** The outcome as the method gives it: a promise or not. */
  const loginNow = (username: string, password: string) => askNow(header(username, password));
  const login = async (username: string, password: string, address?: string, signal?: AbortSignal) =>
    askNow(header(username, password), address, signal);
  /** Hashes that were calculated. */
  const hashes = () =>
    ['right', 'wrong']
      .map((outcome) => tools.metric(`mcp_identity_password_checks_total{method=legacy,outcome=${outcome}}`))
      .reduce((a, b) => a + b);
  return { tools, method, ask, login, loginNow, hashes };
}

const rejected = (reason: Reason, more: object = {}) => ({ kind: 'rejected', refusal: { reason, ...more } });
const WRONG = rejected('credential_wrong');
const throttled = (retryAfterSeconds: number) => rejected('credential_throttled', { retryAfterSeconds });

function subjectOf(outcome: Outcome): string {
  assert.equal(outcome.kind, 'identified', JSON.stringify(outcome));
  return (outcome as Outcome & { kind: 'identified' }).user.subject;
}

describe('a right password', { timeout: 20_000 }, () => {
  test('tells who the user is', async () => {
    assert.deepEqual(await kit().login('Alice', 'open sesame'), {
      kind: 'identified',
      user: {
        kind: 'user',
        issuer: 'urn:envoy-mcp-identity:legacy',
        subject: 'alice',
        authMethod: 'basic',
        methodName: 'legacy',
        claims: { ...CLAIMS, sub: 'alice' },
        attributes: { email: 'alice@example.com', roles: ['admin'] },
        scopes: new Set(['mcp:read']),
        delegationChain: ['agent'],
      },
    });
  });

  test('is UTF-8', async () => {
    assert.equal(subjectOf(await kit().login('Zoë', 'pässword')), 'zoe');
  });

  test('costs one hash in five minutes; in between it is answered at once', async () => {
    const { login, loginNow, tools, hashes } = kit();
    await login('Alice', 'open sesame');
    tools.time.nowMs += 5 * MINUTE_MS - 1;
    assert.equal(subjectOf(loginNow('Alice', 'open sesame') as Outcome), 'alice');
    assert.equal(hashes(), 1);
    tools.time.nowMs += 1;
    const again = loginNow('Alice', 'open sesame');
    assert.ok(again instanceof Promise);
    assert.equal(subjectOf(await again), 'alice');
    assert.equal(hashes(), 2);
  });

  test('a clock that was set back makes nothing last longer', async () => {
    const { login, loginNow, tools } = kit();
    await login('Alice', 'open sesame');
    tools.time.nowMs -= 1;
    const again = loginNow('Alice', 'open sesame');
    assert.ok(again instanceof Promise);
    assert.equal(subjectOf(await again), 'alice');
  });

  test('is hashed once for all who present it at the same time', async () => {
    const { login, hashes } = kit();
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => login('Alice', 'open sesame')));
    assert.deepEqual(new Set(outcomes.map(subjectOf)), new Set(['alice']));
    assert.equal(hashes(), 1);
  });

  test('one who hangs up does not stop it for the others', async () => {
    const { login } = kit();
    const caller = new AbortController();
    const first = login('Alice', 'open sesame', undefined, caller.signal);
    const second = login('Alice', 'open sesame');
    caller.abort(new Error('gone'));
    await assert.rejects(first, { message: 'gone' });
    assert.equal(subjectOf(await second), 'alice');
  });
});

describe('anything else', { timeout: 20_000 }, () => {
  const basic = (text: string) => `Basic ${Buffer.from(text, 'latin1').toString('base64')}`;
  const table: readonly [what: string, authorization: string, expected: object][] = [
    ['a bearer token', 'Bearer abc', { kind: 'absent' }],
    ['another scheme', 'Digest abc', { kind: 'absent' }],
    ['a wrong password', basic('Alice:open sesame '), WRONG],
    ['an empty password', basic('Alice:'), WRONG],
    ['the hash as password', basic(`Alice:${ALICE}`), WRONG],
    ["another user's password", basic('Alice:p\xc3\xa4ssword'), WRONG],
    ['a user name in other letters', basic('alice:open sesame'), WRONG],
    ['nobody', basic('mallory:open sesame'), WRONG],
    ['nobody at all', basic(':'), WRONG],
    ['a property of objects', basic('__proto__:x'), WRONG],
    ['no colon', basic('Alice'), rejected('authorization_malformed')],
    ['no base64', 'Basic QWxpY2U', rejected('authorization_malformed')],
    ['no UTF-8', basic('Zo\xeb:x'), rejected('authorization_malformed')],
    ['a control character', basic('Alice:open sesame\n'), rejected('authorization_malformed')],
  ];
  for (const [what, authorization, expected] of table) {
    test(what, async () => assert.deepEqual(await kit().ask(authorization), expected));
  }

  test('every user name costs a hash, and is refused alike', async () => {
    const { login, hashes } = kit();
    assert.deepEqual(await login('Alice', 'guess'), WRONG);
    assert.deepEqual(await login('mallory', 'guess'), WRONG);
    assert.equal(hashes(), 2);
  });

  test('nobody gets in with the password of the user whose hash stood in', async () => {
    const { login } = kit([USERS[0] as Record<string, unknown>]);
    assert.deepEqual(await login('mallory', 'open sesame'), WRONG);
  });

  test('the same wrong password again costs neither a hash nor a try', async () => {
    const { login, loginNow, tools, hashes } = kit();
    await login('Alice', 'old password');
    for (let i = 0; i < 50; i++) assert.deepEqual(loginNow('Alice', 'old password'), WRONG);
    assert.equal(hashes(), 1);
    tools.time.nowMs += 5 * MINUTE_MS;
    assert.deepEqual(await login('Alice', 'old password'), WRONG);
    assert.equal(hashes(), 2);
    assert.equal(subjectOf(await login('Alice', 'open sesame')), 'alice');
  });
});

describe('guesses', { timeout: 20_000 }, () => {
  const peer = (i: number) => `192.0.2.${i}`;

  for (const username of ['Alice', 'mallory']) {
    test(`ten at ${username}, wherever they come from, then one a minute`, async () => {
      const { login, tools, hashes } = kit();
      for (let i = 0; i < 10; i++) assert.deepEqual(await login(username, `guess ${i}`, peer(i)), WRONG);
      assert.deepEqual(await login(username, 'guess 10', peer(10)), throttled(60));
      tools.time.nowMs += MINUTE_MS - 1;
      assert.deepEqual(await login(username, 'guess 10', peer(10)), throttled(1));
      tools.time.nowMs += 1;
      assert.deepEqual(await login(username, 'guess 10', peer(10)), WRONG);
      assert.equal(hashes(), 11);
      assert.equal(tools.metric('mcp_identity_password_checks_total{method=legacy,outcome=throttled}'), 2);
    });
  }

  test('many at the same time do not pass together', async () => {
    const { login, hashes } = kit();
    const guesses = Array.from({ length: 200 }, (_, i) => login('Alice', `guess ${i}`, peer(i % 50)));
    const reasons = (await Promise.all(guesses)).map((one) =>
      one.kind === 'rejected' ? one.refusal.reason : one.kind,
    );
    assert.equal(reasons.filter((reason) => reason === 'credential_wrong').length, 10);
    assert.equal(reasons.filter((reason) => reason === 'credential_throttled').length, 190);
    assert.equal(hashes(), 10);
  });

  test('twenty from one network, whatever the user names, then one in three seconds', async () => {
    const { login, tools } = kit();
    for (let i = 0; i < 20; i++) assert.deepEqual(await login(`user ${i}`, 'x', `2001:db8::${i + 1}`), WRONG);
    assert.deepEqual(await login('user 20', 'x', '2001:db8::ffff'), throttled(3));
    assert.deepEqual(await login('user 20', 'x', '2001:db8:0:1::1'), WRONG);
    tools.time.nowMs += 3_000;
    assert.deepEqual(await login('user 21', 'x', '2001:db8::ffff'), WRONG);
  });

  test('a network that has used up its tries does not use up those of a user', async () => {
    const { login } = kit();
    for (let i = 0; i < 20; i++) await login(`user ${i}`, 'x', peer(1));
    for (let i = 0; i < 20; i++) assert.equal((await login('Alice', `guess ${i}`, peer(1))).kind, 'rejected');
    assert.equal(subjectOf(await login('Alice', 'open sesame', peer(2))), 'alice');
  });

  test('guesses at a user nobody may guess at now do not use up those of the network', async () => {
    const { login } = kit();
    for (let i = 0; i < 50; i++) await login('Alice', `guess ${i}`, peer(1));
    for (let i = 0; i < 10; i++) assert.deepEqual(await login('mallory', `guess ${i}`, peer(1)), WRONG);
    assert.deepEqual(await login('trent', 'guess', peer(1)), throttled(3));
  });

  test('right passwords use up nothing', async () => {
    const many = Array.from({ length: 30 }, (_, i) => ({ username: `u${i}`, passwordHash: ALICE, subject: `s${i}` }));
    const { login } = kit(many);
    for (let i = 0; i < 30; i++) assert.equal(subjectOf(await login(`u${i}`, 'open sesame')), `s${i}`);
  });

  test('do not lock out a user whose password was right before', async () => {
    const { login, tools, hashes } = kit();
    await login('Alice', 'open sesame', peer(1));
    tools.time.nowMs += 5 * MINUTE_MS;
    for (let i = 0; i < 11; i++) await login('Alice', `guess ${i}`, peer(2));
    assert.equal(hashes(), 11);
    assert.equal(subjectOf(await login('Alice', 'open sesame', peer(1))), 'alice');
    assert.deepEqual(await login('Alice', 'guess 11', peer(1)), throttled(60));
  });

  test('a full queue refuses at once, and a try that was not judged does not count', async () => {
    const { login, tools } = kit(USERS, { ...LIMITS, maxWaiting: 2 });
    const outcomes = await Promise.all(Array.from({ length: 9 }, (_, i) => login('Alice', `guess ${i}`)));
    const overloaded = outcomes.filter((one) => one.kind === 'rejected' && one.refusal.reason === 'overloaded');
    assert.equal(overloaded.length, 6);
    assert.deepEqual(overloaded[0], rejected('overloaded', { retryAfterSeconds: 2 }));
    assert.equal(tools.metric('mcp_identity_password_checks_total{method=legacy,outcome=overloaded}'), 6);
    for (let i = 10; i < 17; i++) assert.deepEqual(await login('Alice', `guess ${i}`), WRONG);
    assert.deepEqual(await login('Alice', 'guess 17'), throttled(60));
  });

  test('one that waits too long is refused as overloaded', async () => {
    const dear = [{ username: 'Alice', passwordHash: hashSync('open sesame', 11), subject: 'alice' }];
    const { login } = kit(dear, { ...LIMITS, checkLimitMs: 50 });
    const running = login('Alice', 'guess 1');
    assert.deepEqual(await login('Alice', 'guess 2'), rejected('overloaded', { retryAfterSeconds: 2 }));
    assert.deepEqual(await running, WRONG);
  });

  test('other calls go on while a flood is hashed', async () => {
    const { login, loginNow } = kit([...USERS, { username: 'dear', passwordHash: hashSync('x', 10), subject: 'dear' }]);
    await login('Alice', 'open sesame');
    let settled = 0;
    const flood = Array.from({ length: 5 }, (_, i) => login('dear', `guess ${i}`, peer(i)).finally(() => settled++));
    let calls = 0;
    for (; settled < flood.length; calls++) {
      assert.equal(subjectOf(loginNow('Alice', 'open sesame') as Outcome), 'alice');
      await setImmediate();
    }
    assert.ok(calls > 100, `${calls} calls`);
    assert.deepEqual(await Promise.all(flood), Array(5).fill(WRONG));
  });
});

test('the method says where it looks', () => {
  const { method } = kit();
  assert.deepEqual(
    [method.name, method.type, method.scheme, method.credentialHeaders, method.issuer, method.audience],
    ['legacy', 'basic', 'basic', [], undefined, undefined],
  );
});

describe('configurations that nobody can have meant', () => {
  const alice = USERS[0] as Record<string, unknown>;
  const table: readonly [what: string, users: readonly Record<string, unknown>[], message: string][] = [
    ['a user name twice', [alice, alice], 'incomingAuth.legacy.users[1].username: is used twice'],
    [
      'a user name nobody can send',
      [{ ...alice, username: 'a:b' }],
      'incomingAuth.legacy.users[0].username: cannot hold a colon (RFC 7617 2)',
    ],
    [
      'half a hash',
      [{ ...alice, passwordHash: `${SCRYPT}abc` }],
      'incomingAuth.legacy.users[0].passwordHash: is malformed, or too expensive to check',
    ],
    [
      'a subject that is no name',
      [{ ...alice, subject: 'a'.repeat(1_025) }],
      'incomingAuth.legacy.users[0].subject: is too long',
    ],
  ];
  for (const [what, users, message] of table) {
    test(what, () => assert.throws(() => kit(users), { message }));
  }
});
