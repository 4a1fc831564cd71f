import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { type ApiKeyConfig, createApiKey } from '../../../src/authn/api-key.ts';
import type { Outcome } from '../../../src/authn/method.ts';
import { apiKeySchema } from '../../../src/authn/schema.ts';
import type { Reason } from '../../../src/core/refusal.ts';
import { HeaderFields } from '../../../src/core/request-facts.ts';
import { bounded, requestWith, testTools } from './support.ts';

const sha256 = (key: string) => createHash('sha256').update(key, 'latin1').digest('hex');

function configOf(keys: readonly Record<string, unknown>[], more: Record<string, unknown> = {}): ApiKeyConfig {
  return apiKeySchema.parse({ type: 'api_key', keys, ...more });
}

const CLAIMS = {
  sub: 'somebody else',
  email: 'bot@example.com',
  team: ['core'],
  scope: 'mcp:read mcp:write',
  scp: ['repo:admin'],
  act: { sub: 'runner', act: { sub: 'scheduler' } },
};
const KEYS = [
  { id: 'bot', sha256: sha256('old key'), subject: 'bot', claims: CLAIMS, expires: '2026-01-02' },
  { id: 'bot-next', sha256: sha256('new-key').toUpperCase(), subject: 'bot', claims: CLAIMS },
  { id: 'other', sha256: sha256('other-key'), subject: 'other', expires: '2026-01-01T12:30:00+02:00' },
];

function kit(config = configOf(KEYS, { attributeClaims: { teams: 'team' } })) {
  const tools = testTools(Date.UTC(2026, 0, 1));
  const method = createApiKey('ci', config, tools);
  const ask = (fields: readonly string[]) =>
    method.authenticate(
      { ...requestWith({}), headers: new HeaderFields(fields) },
      { kind: 'none' },
      bounded(),
    ) as Outcome;
  return { tools, method, ask, present: (key: string) => ask(['x-api-key', key]) };
}

const rejected = (reason: Reason) => ({ kind: 'rejected', refusal: { reason } });

describe('a good key', () => {
  test('tells who its holder is', () => {
    assert.deepEqual(kit().present('new-key'), {
      kind: 'identified',
      user: {
        kind: 'user',
        issuer: 'urn:envoy-mcp-identity:ci',
        subject: 'bot',
        authMethod: 'api_key',
        methodName: 'ci',
        claims: { ...CLAIMS, sub: 'bot' },
        attributes: { email: 'bot@example.com', teams: ['core'] },
        scopes: new Set(['mcp:read', 'mcp:write', 'repo:admin']),
        delegationChain: ['runner', 'scheduler'],
      },
    });
  });

  test('is one of several of its subject, so that keys can be exchanged', () => {
    const { present, tools } = kit();
    for (const key of ['old key', 'new-key', 'new-key', ' \tnew-key ']) {
      const outcome = present(key);
      assert.equal(outcome.kind === 'identified' && outcome.user.subject, 'bot', key);
    }
    assert.equal(tools.metric('mcp_identity_api_key_uses_total{method=ci,key=bot}'), 1);
    assert.equal(tools.metric('mcp_identity_api_key_uses_total{method=ci,key=bot-next}'), 3);
  });

  test('is good until it expires', () => {
    const { present, tools } = kit();
    const cases = [
      ['old key', Date.UTC(2026, 0, 2)],
      ['other-key', Date.UTC(2026, 0, 1, 10, 30)],
    ] as const;
    for (const [key, expiresMs] of cases) {
      tools.time.nowMs = expiresMs - 1;
      const outcome = present(key);
      assert.equal(outcome.kind === 'identified' && outcome.user.expiresAt, expiresMs / 1_000, key);
      tools.time.nowMs = expiresMs;
      assert.deepEqual(present(key), rejected('credential_expired'), key);
    }
    assert.equal(present('new-key').kind, 'identified');
  });

  test('may be any bytes that a header carries', () => {
    const { ask } = kit(configOf([{ id: 'k', sha256: sha256('cl\xe9 \xa0'), subject: 's' }]));
    assert.equal(ask(['x-api-key', 'cl\xe9 \xa0']).kind, 'identified');
    assert.deepEqual(ask(['x-api-key', 'cl\xe9']), rejected('credential_wrong'));
  });
});

describe('anything else', () => {
  const table: readonly [what: string, fields: readonly string[], expected: object][] = [
    ['no header', ['accept', '*/*'], { kind: 'absent' }],
    ['a key in another header', ['x-api-key-2', 'new-key', 'x_api_key', 'new-key'], { kind: 'absent' }],
    ['a wrong key', ['x-api-key', 'new-kez'], rejected('credential_wrong')],
    ['the start of a key', ['x-api-key', 'new-ke'], rejected('credential_wrong')],
    ['a key and more', ['x-api-key', 'new-keyy'], rejected('credential_wrong')],
    ['the digest of a key', ['x-api-key', sha256('new-key')], rejected('credential_wrong')],
    ['nothing in the header', ['x-api-key', ''], rejected('authorization_malformed')],
    ['white space only', ['x-api-key', ' \t '], rejected('authorization_malformed')],
    ['the key twice', ['x-api-key', 'new-key', 'x-api-key', 'new-key'], rejected('authorization_repeated')],
    ['an empty copy', ['x-api-key', 'new-key', 'x-api-key', ''], rejected('authorization_repeated')],
    ['two keys joined', ['x-api-key', 'new-key,old key'], rejected('authorization_repeated')],
    ['a comma behind it', ['x-api-key', 'new-key,'], rejected('authorization_repeated')],
  ];
  for (const [what, fields, expected] of table) {
    test(`${what} is ${'refusal' in expected ? 'refused' : 'absent'}`, () => {
      assert.deepEqual(kit().ask(fields), expected);
    });
  }
});

test('whatever is presented costs one look-up of something that nobody can steer', (t) => {
  const [small, large] = [
    kit(),
    kit(configOf(Array.from({ length: 500 }, (_, i) => ({ id: `k${i}`, sha256: sha256(`key-${i}`), subject: 's' })))),
  ];
  const right = 'new-key';
  // Right, wrong at the first and at the last character, of another length.
  const presented = [right, `X${right.slice(1)}`, `${right.slice(0, -1)}X`, 'a', 'b'.repeat(2_000)];
  const { mock } = t.mock.method(Map.prototype, 'get');
  const namesIn = ({ present }: typeof small) => {
    mock.resetCalls();
    for (const key of presented) present(key);
    const asked = mock.calls.map(({ arguments: [key] }): unknown => key);
    // Names of keys are 32 bytes in base64.
    return asked.filter((key): key is string => typeof key === 'string' && /^[\w+/]{43}=$/.test(key));
  };
  const [first, again, other] = [namesIn(small), namesIn(small), namesIn(large)];
  assert.deepEqual([first.length, other.length], [presented.length, presented.length]);
  assert.deepEqual(first, again);
  for (const [i, key] of presented.entries()) {
    const hashes = ['base64', 'hex'].map((form) =>
      createHash('sha256')
        .update(key)
        .digest(form as 'hex'),
    );
    assert.ok(!hashes.includes(first[i] ?? ''), 'not of the hash, which a caller can choose');
    assert.notEqual(first[i], other[i], 'under a key that each method draws for itself');
  }
  const shared = (first[0] ?? '').split('').filter((letter, i) => letter === first[1]?.[i]).length;
  assert.ok(shared < 20, 'keys that are nearly the same have names that are not');
});

test('the method says where it looks', () => {
  const { method } = kit(configOf(KEYS, { header: 'X-CI-Key' }));
  assert.deepEqual(
    [method.name, method.type, method.credentialHeaders, method.scheme, method.issuer, method.audience],
    ['ci', 'api_key', ['x-ci-key'], undefined, undefined, undefined],
  );
});

test('a key that has expired already is told at start, by its id', () => {
  const tools = testTools(Date.UTC(2027, 0, 1));
  createApiKey('ci', configOf(KEYS), tools);
  assert.deepEqual(
    tools.lines.map(({ level, fields }) => [level, fields]),
    [
      ['warn', { method: 'ci', key: 'bot' }],
      ['warn', { method: 'ci', key: 'other' }],
    ],
  );
});

describe('configurations that nobody can have meant', () => {
  const key = { id: 'a', sha256: sha256('k'), subject: 's' };
  const table: readonly [what: string, config: ApiKeyConfig, message: string][] = [
    [
      'one key for two subjects',
      configOf([key, { ...key, id: 'b', subject: 't' }]),
      'incomingAuth.ci.keys[1]: the key b is the same as another one',
    ],
    [
      'an id for two keys',
      configOf([key, { ...key, sha256: sha256('l') }]),
      'incomingAuth.ci.keys[1]: the id a is used twice',
    ],
    [
      'a subject that is no name',
      configOf([{ ...key, subject: 'a'.repeat(1_025) }]),
      'incomingAuth.ci.keys[0].subject: is too long',
    ],
    [
      'Authorization',
      configOf([key], { header: 'Authorization' }),
      'incomingAuth.ci.header: Authorization is read by jwt, introspection and basic',
    ],
    [
      'a header that backends get',
      configOf([key], { header: 'User_Agent' }),
      'incomingAuth.ci.header: user_agent is forwarded to every backend, and the credential with it',
    ],
  ];
  for (const [what, config, message] of table) {
    test(what, () => {
      assert.throws(() => createApiKey('ci', config, testTools()), { message });
    });
  }
});
