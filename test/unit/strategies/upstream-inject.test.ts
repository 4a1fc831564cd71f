import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { ANONYMOUS, type User } from '../../../src/core/identity.ts';
import { Secret } from '../../../src/core/secret.ts';
import { outgoingAuthSchema, type OutgoingAuthOf } from '../../../src/strategies/schema.ts';
import { createUpstreamInject, refusedToken } from '../../../src/strategies/upstream-inject.ts';
import type { Refresher } from '../../../src/upstream/refresher.ts';
import type { UpstreamAnswer } from '../../../src/upstream/upstream-answer.ts';
import { bounded, testTools } from '../authn/support.ts';

const policy = (block: object = {}) =>
  outgoingAuthSchema.parse({
    type: 'upstream_inject',
    upstreamInject: { providerName: 'github', ...block },
  }) as OutgoingAuthOf<'upstream_inject'>;

const user = (subject: string): User => ({
  kind: 'user',
  issuer: 'https://idp.example.com',
  subject,
  authMethod: 'jwt',
  methodName: 'corp',
  claims: {},
  attributes: {},
  scopes: new Set(),
  delegationChain: [],
});

function make(answer: (subject: string) => UpstreamAnswer, block: object = {}) {
  const asked: string[] = [];
  const refresher: Refresher = {
    knows: (provider) => provider === 'github',
    token: ({ issuer, subject }, provider) => {
      asked.push(`${issuer} ${subject} ${provider}`);
      return answer(subject);
    },
    invalidate: async () => {},
    forget: () => {},
    close: async () => {},
  };
  const tools = testTools();
  return { asked, tools, strategy: createUpstreamInject(policy(block), refresher, tools.log) };
}

const token = (text: string, generation = 7): UpstreamAnswer => ({
  kind: 'token',
  accessToken: new Secret(text),
  generation,
});

describe('upstream_inject', () => {
  test('the token of this very user, at once, as a secret; with what is needed to take it back', () => {
    const tokens = new Map([
      ['alice', token('gho_alice')],
      ['bob', token('gho_bob')],
    ]);
    const { asked, strategy } = make((subject) => tokens.get(subject) as UpstreamAnswer);
    for (const subject of ['alice', 'bob', 'alice']) {
      const outcome = strategy.credential(user(subject), bounded());
      assert.ok(!(outcome instanceof Promise) && outcome.kind === 'write');
      const [[name, value] = []] = outcome.headers;
      assert.equal(outcome.headers.length, 1);
      assert.equal(name, 'authorization');
      assert.equal(value instanceof Secret && value.reveal(), `Bearer gho_${subject}`);
      assert.doesNotMatch(inspect(outcome, { depth: 9 }), /gho_/);
      assert.deepEqual(outcome.credential?.invalidate, {
        strategy: 'upstream_inject',
        issuer: 'https://idp.example.com',
        subject,
        provider: 'github',
        generation: 7,
      });
    }
    assert.deepEqual(
      asked,
      ['alice', 'bob', 'alice'].map((subject) => `https://idp.example.com ${subject} github`),
    );
  });

  test('anonymous callers are asked to sign in; nobody asks for a token', () => {
    const { asked, strategy } = make(() => token('x'));
    const outcome = strategy.credential(ANONYMOUS, bounded());
    assert.deepEqual(outcome, { kind: 'refused', refusal: { reason: 'login_required' } });
    assert.deepEqual(asked, []);
  });

  test('not connected: the route says what follows', () => {
    const { strategy } = make(() => ({ kind: 'unconnected', why: 'revoked' }), {
      onMissing: 'tool_error',
      unconnected: 'deny',
    });
    const outcome = strategy.credential(user('alice'), bounded());
    assert.deepEqual(outcome, {
      kind: 'unconnected',
      provider: 'github',
      onMissing: 'tool_error',
      unconnected: 'deny',
    });
  });

  test('not available: 503 with the time to come back', () => {
    const { strategy } = make(() => ({ kind: 'unavailable', reason: 'rate_limited', retryAfterSeconds: 30 }));
    const outcome = strategy.credential(user('alice'), bounded());
    assert.deepEqual(outcome, {
      kind: 'refused',
      refusal: { reason: 'upstream_unavailable', detail: 'rate_limited', retryAfterSeconds: 30 },
    });
  });

  for (const bad of ['', ' ', 'a b', 'a,b', 'a\r\nX-Admin: 1', 'a\0', 'ä', '"a"', '=', 'a=b']) {
    test(`no backend gets ${JSON.stringify(bad)} as a token`, () => {
      const { strategy, tools } = make(() => token(bad));
      const outcome = strategy.credential(user('alice'), bounded());
      assert.ok(!(outcome instanceof Promise) && outcome.kind === 'refused');
      assert.equal(outcome.refusal.reason, 'upstream_unavailable');
      assert.equal(tools.lines.length, 1);
      if (bad.trim() !== '') assert.ok(!JSON.stringify(tools.lines).includes(JSON.stringify(bad).slice(1, -1)));
    });
  }

  for (const good of ['a', 'a.b-c_d~e+f/g==', '00D50000000IZ3Z!AQ0AQDpEDK']) {
    test(`a backend gets ${good}`, () => {
      const outcome = make(() => token(good)).strategy.credential(user('alice'), bounded());
      assert.ok(!(outcome instanceof Promise) && outcome.kind === 'write');
    });
  }

  test('no such provider, or no providers at all', () => {
    const message = 'upstreamInject names github, which is not available';
    assert.throws(() => createUpstreamInject(policy(), undefined, testTools().log), { message });
    assert.throws(() => make(() => token('x'), { providerName: 'gitlab' }), /gitlab/);
  });

  test('only what this strategy has sent out comes back to it', () => {
    for (const other of [undefined, null, 'x', {}, { strategy: 'token_exchange' }])
      assert.equal(refusedToken(other), undefined);
    const own = { strategy: 'upstream_inject', issuer: 'i', subject: 's', provider: 'p', generation: 1 };
    assert.deepEqual(refusedToken(JSON.parse(JSON.stringify(own))), own);
  });
});
