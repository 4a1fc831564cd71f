import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headersWritten, propagationPrefix } from '../../../src/policy/header-rules.ts';
import { routePolicySchema } from '../../../src/policy/route-policy.ts';

const POLICY = { backend: 'b', incomingAuth: ['corp'], outgoingAuth: { type: 'unauthenticated' } };
const names = (more: Record<string, unknown>) =>
  headersWritten(routePolicySchema.parse({ ...POLICY, ...more })).map(({ name }) => name);

test('nothing by default', () => assert.deepEqual(names({}), []));

for (const [name, outgoingAuth, written] of [
  ['header_injection', { headerInjection: { headerName: 'X_Api-Key', secret: 'k' } }, ['x-api-key']],
  ['claim_injection', {}, ['x-user-sub']],
  ['claim_injection', { claimInjection: { claims: ['email', 'name'] } }, ['x-user-email', 'x-user-name']],
  ['token_exchange', { tokenExchange: { exchange: 'x' } }, ['authorization']],
  ['upstream_inject', {}, ['authorization']],
  [
    'aws_sts',
    { awsSts: { region: 'a', service: 'b', host: 'c' } },
    ['authorization', 'host', 'x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'],
  ],
] as const) {
  test(`${name} ${JSON.stringify(outgoingAuth)}`, () =>
    assert.deepEqual(names({ outgoingAuth: { type: name, ...outgoingAuth } }), written));
}

test('static headers and propagation', () => {
  const headerForward = { plaintext: { 'X-A': '1' }, secrets: { 'X-B': 'k' } };
  const identityPropagation = {
    mode: 'headers',
    headersPrefix: 'X-Who',
    attributes: ['id', 'is_admin'],
    claims: { department: 'Dept' },
    sign: 'jws',
  };
  assert.deepEqual(names({ headerForward, identityPropagation }), [
    'x-a',
    'x-b',
    'x-who-id',
    'x-who-admin',
    'x-who-dept',
    'x-who-assertion',
  ]);
});

test('with `meta` only the assertion may be a header', () => {
  assert.deepEqual(names({ identityPropagation: { mode: 'meta', sign: 'hmac' } }), ['x-forwarded-user-assertion']);
  assert.deepEqual(names({ identityPropagation: { mode: 'meta' } }), []);
});

test('the prefix of propagation', () => {
  const prefix = (more: Record<string, unknown>) => propagationPrefix(routePolicySchema.parse({ ...POLICY, ...more }));
  assert.equal(prefix({}), undefined);
  assert.equal(prefix({ identityPropagation: { mode: 'meta' } }), 'x-forwarded-user-');
});
