import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Outcome } from '../../../src/authn/method.ts';
import { trustedProxySchema } from '../../../src/authn/schema.ts';
import { createTrustedProxy } from '../../../src/authn/trusted-proxy.ts';
import type { Reason } from '../../../src/core/refusal.ts';
import { HeaderFields, type Peer } from '../../../src/core/request-facts.ts';
import { bounded, requestWith, testTools } from './support.ts';

const GATEWAY: Peer = { address: '10.1.2.3', principal: '' };
const ABSENT = { kind: 'absent' };
const rejected = (reason: Reason) => ({ kind: 'rejected', refusal: { reason } });

function kit(config: Record<string, unknown> = {}) {
  const tools = testTools();
  const parsed = trustedProxySchema.parse({
    type: 'trusted_proxy',
    claimHeaders: { email: 'X-Authenticated-Email', groups: 'x-authenticated-groups', scope: 'x-authenticated-scopes' },
    trustedPeers: ['10.0.0.0/8', 'spiffe://corp/gateway'],
    ...config,
  });
  const method = createTrustedProxy('mesh', parsed, tools);
  const ask = (fields: readonly string[], peer: Peer = GATEWAY) =>
    method.authenticate(
      { ...requestWith({}), headers: new HeaderFields(fields), peer },
      { kind: 'none' },
      bounded(),
    ) as Outcome;
  return { tools, method, ask };
}

function userOf(outcome: Outcome) {
  assert.equal(outcome.kind, 'identified', JSON.stringify(outcome));
  return (outcome as Outcome & { kind: 'identified' }).user;
}

describe('from a trusted peer', () => {
  test('the headers tell who the user is', () => {
    const outcome = kit().ask([
      'x-authenticated-user',
      'alice',
      'x-authenticated-email',
      'alice@example.com',
      'x-authenticated-groups',
      'a,b',
      'x-authenticated-scopes',
      'mcp:read mcp:write',
    ]);
    assert.deepEqual(outcome, {
      kind: 'identified',
      user: {
        kind: 'user',
        issuer: 'urn:envoy-mcp-identity:mesh',
        subject: 'alice',
        authMethod: 'trusted_proxy',
        methodName: 'mesh',
        claims: { sub: 'alice', email: 'alice@example.com', groups: 'a,b', scope: 'mcp:read mcp:write' },
        attributes: { email: 'alice@example.com', groups: ['a,b'] },
        scopes: new Set(['mcp:read', 'mcp:write']),
        delegationChain: [],
      },
    });
  });

  const utf8 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');
  const table: readonly [what: string, fields: readonly string[], expected: object | string][] = [
    ['no user header', ['accept', '*/*'], ABSENT],
    ['claims without a user', ['x-authenticated-email', 'alice@example.com'], ABSENT],
    ['another spelling', ['x_authenticated_user', 'alice'], ABSENT],
    ['an empty user', ['x-authenticated-user', ''], rejected('authorization_malformed')],
    ['white space as user', ['x-authenticated-user', ' \t'], rejected('authorization_malformed')],
    ['two users', ['x-authenticated-user', 'alice', 'x-authenticated-user', 'bob'], rejected('authorization_repeated')],
    [
      'the same user twice',
      ['x-authenticated-user', 'alice', 'x-authenticated-user', 'alice'],
      rejected('authorization_repeated'),
    ],
    [
      'two copies of a claim',
      ['x-authenticated-user', 'alice', 'x-authenticated-groups', 'a', 'x-authenticated-groups', 'admin'],
      rejected('authorization_repeated'),
    ],
    ['bytes that are no UTF-8', ['x-authenticated-user', 'al\xefce'], rejected('authorization_malformed')],
    ['overlong UTF-8', ['x-authenticated-user', 'a\xc0\xaf'], rejected('authorization_malformed')],
    ['a tab inside', ['x-authenticated-user', 'al\tice'], rejected('authorization_malformed')],
    ['NUL', ['x-authenticated-user', 'al\0ice'], rejected('authorization_malformed')],
    ['a C1 control', ['x-authenticated-user', utf8('al\u0085ice')], rejected('authorization_malformed')],
    ['1,025 characters', ['x-authenticated-user', 'a'.repeat(1_025)], rejected('authorization_malformed')],
    [
      'a claim that is no UTF-8',
      ['x-authenticated-user', 'alice', 'x-authenticated-email', '\xff'],
      rejected('authorization_malformed'),
    ],
    ['UTF-8', ['x-authenticated-user', utf8('Zoë à')], 'Zoë à'],
    ['white space around it', ['x-authenticated-user', ' \talice '], 'alice'],
    ['a comma inside', ['x-authenticated-user', 'CN=alice,O=corp'], 'CN=alice,O=corp'],
  ];
  for (const [what, fields, expected] of table) {
    test(what, () => {
      const outcome = kit().ask(fields);
      if (typeof expected === 'string') assert.equal(userOf(outcome).subject, expected);
      else assert.deepEqual(outcome, expected);
    });
  }

  test('an empty claim header says nothing', () => {
    const { claims, attributes } = userOf(kit().ask(['x-authenticated-user', 'alice', 'x-authenticated-email', '']));
    assert.deepEqual({ claims, attributes }, { claims: { sub: 'alice' }, attributes: {} });
  });

  test('no claim header replaces the user', () => {
    const { ask } = kit({ claimHeaders: { sub: 'x-sub', act: 'x-act', __proto__x: 'x-proto' } });
    const user = userOf(ask(['x-authenticated-user', 'alice', 'x-sub', 'root', 'x-act', '{"sub":"boss"}']));
    assert.deepEqual([user.subject, user.claims['sub'], user.delegationChain], ['alice', 'alice', []]);
  });
});

describe('who is trusted', () => {
  const table: readonly [trusted: readonly string[], peer: Peer, isTrusted: boolean][] = [
    [['10.0.0.0/8'], { address: '10.255.255.255', principal: '' }, true],
    [['10.0.0.0/8'], { address: '11.0.0.0', principal: '' }, false],
    [['10.0.0.0/8'], { address: '::ffff:10.1.2.3', principal: '' }, true],
    [['10.0.0.0/8'], { address: '::FFFF:11.1.2.3', principal: '' }, false],
    [['::ffff:10.0.0.0/104'], { address: '10.1.2.3', principal: '' }, true],
    [['::ffff:10.0.0.0/104'], { address: '11.1.2.3', principal: '' }, false],
    [['10.1.2.3'], { address: '10.1.2.3', principal: '' }, true],
    [['10.1.2.3'], { address: '10.1.2.4', principal: '' }, false],
    [['10.1.2.99/24'], { address: '10.1.2.3', principal: '' }, true],
    [['2001:db8::/32'], { address: '2001:db8:ffff::1', principal: '' }, true],
    [['2001:db8::/32'], { address: '2001:db9::1', principal: '' }, false],
    [['2001:db8::/32'], { address: '10.0.0.1', principal: '' }, false],
    [['::1'], { address: '0:0:0:0:0:0:0:1', principal: '' }, true],
    [['::1'], { address: '127.0.0.1', principal: '' }, false],
    [['10.0.0.0/8'], { address: '', principal: '' }, false],
    [['10.0.0.0/8'], { address: '10.1.2.3.4', principal: '' }, false],
    [['10.0.0.0/8'], { address: '/run/envoy.sock', principal: '' }, false],
    [['10.0.0.0/8'], { address: '192.0.2.1', principal: '10.1.2.3' }, false],
    [['spiffe://corp/gateway'], { address: '192.0.2.1', principal: 'spiffe://corp/gateway' }, true],
    [['spiffe://corp/gateway'], { address: '192.0.2.1', principal: 'spiffe://corp/gateway2' }, false],
    [['spiffe://corp/gateway'], { address: '192.0.2.1', principal: 'SPIFFE://corp/gateway' }, false],
    [['spiffe://corp/gateway'], { address: 'spiffe://corp/gateway', principal: '' }, false],
    [['gateway.example.com'], { address: '', principal: 'gateway.example.com' }, true],
    [['CN=gw,O=corp'], { address: '', principal: 'CN=gw,O=corp' }, true],
    [['CN=gw,O=corp'], { address: '', principal: '' }, false],
    [['spiffe://corp/gateway', '10.0.0.0/8'], { address: '10.1.2.3', principal: 'spiffe://corp/other' }, true],
  ];
  for (const [trusted, peer, isTrusted] of table) {
    test(`${trusted.join(', ')} ${isTrusted ? 'is' : 'is not'} ${peer.address}|${peer.principal}`, () => {
      const outcome = kit({ trustedPeers: trusted }).ask(['x-authenticated-user', 'alice'], peer);
      assert.equal(outcome.kind, isTrusted ? 'identified' : 'absent');
    });
  }

  test('headers of anyone else are absent, however wrong they are', () => {
    const { ask } = kit();
    const stranger = { address: '192.0.2.1', principal: 'spiffe://corp/web' };
    for (const fields of [
      ['x-authenticated-user', ''],
      ['x-authenticated-user', 'a', 'x-authenticated-user', 'b'],
      ['x-authenticated-user', 'alice', 'x-forwarded-for', '10.1.2.3', 'x-envoy-external-address', '10.1.2.3'],
    ]) {
      assert.deepEqual(ask(fields, stranger), ABSENT);
    }
  });

  test('malformed addresses are no names', () => {
    for (const bad of [
      '10.0.0.0/33',
      '10.0.0/8',
      '10.0.0.256',
      '2001:db8::/129',
      '10.0.0.0/8/8',
      '10.0.0.0/x',
      '10.0.0.0/',
      '2001:db8:::/32',
      '::ffff:10.0.0.0/95',
      '1.2.3.4/-1',
    ]) {
      assert.throws(
        () => kit({ trustedPeers: ['10.0.0.0/8', bad] }),
        {
          message:
            'incomingAuth.mesh.trustedPeers[1]: is neither an IP address nor a CIDR block such as 10.0.0.0/8 or 2001:db8::/32',
        },
        bad,
      );
    }
  });

  test('trust in everybody is told', () => {
    for (const all of ['0.0.0.0/0', '::/0']) {
      assert.deepEqual(
        kit({ trustedPeers: [all] }).tools.lines.map(({ level, fields }) => [level, fields]),
        [['warn', { at: 'incomingAuth.mesh.trustedPeers' }]],
      );
    }
  });
});

test('the method says where it looks', () => {
  const { method } = kit();
  assert.deepEqual(
    [method.name, method.type, method.scheme, method.issuer, method.audience],
    ['mesh', 'trusted_proxy', undefined, undefined, undefined],
  );
  assert.deepEqual(method.credentialHeaders, [
    'x-authenticated-user',
    'x-authenticated-email',
    'x-authenticated-groups',
    'x-authenticated-scopes',
  ]);
});

test('headers that backends get, and Authorization, cannot be used', () => {
  assert.throws(() => kit({ userHeader: 'X-Forwarded-For' }), {
    message: 'incomingAuth.mesh.userHeader: x-forwarded-for is forwarded to every backend, and the credential with it',
  });
  assert.throws(() => kit({ claimHeaders: { email: 'authorization' } }), {
    message: 'incomingAuth.mesh.claimHeaders.email: Authorization is read by jwt, introspection and basic',
  });
  assert.equal(kit({ userHeader: 'X-Forwarded-User' }).ask(['x-forwarded-user', 'alice']).kind, 'identified');
});
