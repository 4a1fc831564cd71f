// What passes; each mistake is in test/mutation.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pathText } from '../../../src/core/problem.ts';
import { validatePolicy } from '../../../src/policy/validate.ts';
import type { World } from '../../../src/policy/world.ts';

const WORLD: World = {
  methods: new Map([
    ['corp', { type: 'jwt', issuer: 'https://idp.example.com', headers: ['authorization'] }],
    ['ci', { type: 'api_key', headers: ['x-api-key'] }],
    ['mesh', { type: 'trusted_proxy', headers: ['x_authenticated_user'] }],
    ['guest', { type: 'anonymous', headers: [] }],
  ]),
  providers: new Set(['github']),
  exchanges: new Map([['hr', { tokenEndpoint: 'https://sso.example.com/token' }]]),
  secrets: new Set(['key']),
  hasVaultKeys: true,
  loginIssuer: 'https://idp.example.com',
  signing: { jws: true, hmac: true },
  hasSessionKeys: true,
};

const POLICY = {
  backend: 'b',
  resource: 'https://mcp.example.com/b',
  incomingAuth: ['corp'],
  outgoingAuth: { type: 'unauthenticated' },
};

function told(more: Record<string, unknown>): string[] {
  return validatePolicy({ ...POLICY, ...more }, WORLD).problems.map(
    ({ code, severity, path }) => `${severity} ${code} ${pathText(path)}`,
  );
}

describe('fine', () => {
  const cases: Record<string, Record<string, unknown>> = {
    'the least': {},
    'no resource without tokens': { incomingAuth: ['ci', 'guest'], resource: undefined },
    'a resource on plain http': { resource: 'http://127.0.0.1:10000/mcp' },
    'other headers of the client': { passthroughHeaders: ['X-Trace-Id', 'X-Tenant-Id', 'Accept-Datetime'] },
    'the key header of a method that is not accepted here': { passthroughHeaders: ['X-Api-Key'] },
    'the key header as a static header': { incomingAuth: ['ci'], headerForward: { secrets: { 'X-Api-Key': 'key' } } },
    'attributes under X-Forwarded-': {
      outgoingAuth: { type: 'claim_injection', claimInjection: { claims: { email: 'X-Forwarded-Email' } } },
    },
    'a secret in Authorization': {
      outgoingAuth: { type: 'header_injection', headerInjection: { headerName: 'Authorization', secret: 'key' } },
    },
    'a value that is no secret': {
      outgoingAuth: { type: 'header_injection', headerInjection: { headerName: 'X-Region', value: 'eu' } },
    },
    'claims with the name of a URL': {
      outgoingAuth: { type: 'claim_injection', claimInjection: { claims: { 'https://acme/roles': 'X-Roles' } } },
    },
    'scopes that are URLs': {
      scopes: ['https://graph.example.com/.default'],
      tools: { t: { scopes: ['https://graph.example.com/mail'] } },
    },
    'a resource to exchange for': {
      outgoingAuth: {
        type: 'token_exchange',
        tokenExchange: { exchange: 'hr', resource: ['https://hr.example.com/'] },
      },
    },
    'a key of _meta with a prefix': { identityPropagation: { mode: 'meta', metaKey: 'com.example/user' } },
    'a key of _meta that is like the reserved ones': {
      identityPropagation: { mode: 'meta', metaKey: 'mcp.example/user' },
    },
    'propagation beside claims': {
      outgoingAuth: { type: 'claim_injection', claimInjection: { claims: ['sub', 'email', 'name'] } },
      identityPropagation: { mode: 'both', attributes: ['id', 'email', 'groups'], sign: 'hmac' },
    },
    'anonymous callers beside users with tokens': {
      incomingAuth: ['corp', 'guest'],
      outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'github' } },
    },
    'everything of a session': {
      passthroughHeaders: ['X-A'],
      session: { bind: true, passthroughCapture: 'session', identityFallback: 'delete' },
    },
  };
  for (const [name, more] of Object.entries(cases)) {
    test(name, () => {
      assert.deepEqual(told(more), []);
      assert.ok(validatePolicy({ ...POLICY, ...more }, WORLD).policy);
    });
  }
});

describe('not fine', () => {
  const cases: [name: string, more: Record<string, unknown>, ...problems: string[]][] = [
    [
      'a passthrough name that another spelling writes',
      { passthroughHeaders: ['x-a-b'], headerForward: { plaintext: { X_A_B: '1' } } },
      'error V-11 passthroughHeaders[0]',
    ],
    [
      'a passthrough name that a method reads in another spelling',
      { incomingAuth: ['corp', 'mesh'], passthroughHeaders: ['X-Authenticated-User'] },
      'error V-11 passthroughHeaders[0]',
    ],
    [
      'the same header as text and as secret',
      { headerForward: { plaintext: { 'X-A': '1' }, secrets: { 'x-a': 'key' } } },
      'error V-11 headerForward.secrets.x-a',
    ],
    [
      'two claims in one header',
      { outgoingAuth: { type: 'claim_injection', claimInjection: { claims: { a: 'X-A', b: 'x_a' } } } },
      'error V-11 outgoingAuth.claimInjection.claims.b',
    ],
    [
      'a claim under the name of an attribute',
      { identityPropagation: { mode: 'headers', claims: { x: 'Id' } } },
      'error V-11 identityPropagation',
    ],
    [
      'a prefix that makes a header of the connection',
      { identityPropagation: { mode: 'headers', headersPrefix: 'X-Forwarded', claims: { x: 'Host' } } },
      'error V-11 identityPropagation',
    ],
    [
      'a prefix that makes a header of MCP',
      { identityPropagation: { mode: 'headers', headersPrefix: 'Mcp' } },
      'error V-11 identityPropagation',
    ],
    [
      'a claim where Envoy tells of the connection',
      { outgoingAuth: { type: 'claim_injection', claimInjection: { claims: { a: 'X-Forwarded-Client-Cert' } } } },
      'error V-11 outgoingAuth.claimInjection.claims.a',
    ],
    [
      'X-Forwarded- as a static header',
      { headerForward: { plaintext: { 'X-Forwarded-Email': 'a' } } },
      'error V-11 headerForward.plaintext.X-Forwarded-Email',
    ],
    [
      'a header of the signature',
      {
        outgoingAuth: { type: 'aws_sts', awsSts: { region: 'a', service: 'b', host: 'c' } },
        headerForward: { plaintext: { 'X-Amz-Target': 'a' } },
      },
      'error V-11 headerForward.plaintext.X-Amz-Target',
    ],
    [
      'a bearer in an innocent header',
      { headerForward: { plaintext: { 'X-Upstream': 'Bearer abc' } } },
      'error V-13 headerForward.plaintext.X-Upstream',
    ],
    [
      'a URL in a header',
      { headerForward: { plaintext: { 'X-Callback': 'https://a.example' } } },
      'error V-13 headerForward.plaintext.X-Callback',
    ],
    ['a password in a scope', { scopes: ['https://u:p@a.example'] }, 'error V-13 scopes[0]'],
    [
      'a prototype as a key of _meta',
      { identityPropagation: { mode: 'meta', metaKey: '__proto__' } },
      'error V-14 identityPropagation.metaKey',
    ],
    [
      'a reserved prefix',
      { identityPropagation: { mode: 'meta', metaKey: 'com.MCP.tools/user' } },
      'error V-14 identityPropagation.metaKey',
    ],
    [
      'trace context as a key of _meta',
      { identityPropagation: { mode: 'meta', metaKey: 'traceparent' } },
      'error V-14 identityPropagation.metaKey',
    ],
    [
      'nothing in a session that is not bound',
      { session: { identityFallback: 'delete' } },
      'error V-15 session.identityFallback',
    ],
    [
      'nobody who could connect',
      {
        incomingAuth: ['ci'],
        resource: undefined,
        outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'github' } },
      },
      'error V-27 incomingAuth',
    ],
  ];
  for (const [name, more, ...problems] of cases) {
    test(name, () => {
      assert.deepEqual(told(more), problems);
      assert.equal(validatePolicy({ ...POLICY, ...more }, WORLD).policy, undefined);
    });
  }

  test('what an exchange is asked with may be URLs for resources and scopes, without user info', () => {
    const toldOf = (host: string) =>
      told({
        outgoingAuth: {
          type: 'token_exchange',
          tokenExchange: {
            exchange: 'hr',
            resource: [`https://${host}/a`],
            scopes: [`https://${host}/read`],
          },
        },
      }).filter((line) => line.includes('V-13'));
    assert.deepEqual(toldOf('api.example.com'), []);
    assert.equal(toldOf('u:p@api.example.com').length, 2);
  });

  test('people who sign in under another name than they call by', () => {
    const accounts = { outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'github' } } };
    const toldIn = (method: string | undefined, login: string | undefined) => {
      const corp = { type: 'jwt', issuer: 'https://idp.example.com', headers: ['authorization'] };
      const world: World = {
        ...WORLD,
        methods: new Map([['corp', method === undefined ? corp : { ...corp, subjectClaim: method }]]),
        ...(login === undefined ? {} : { loginSubjectClaim: login }),
      };
      return validatePolicy({ ...POLICY, ...accounts }, world).problems.filter(({ code }) => code === 'V-27');
    };
    for (const [method, login, severity] of [
      ['oid', undefined, 'error'],
      ['sub', 'oid', 'error'],
      [undefined, 'oid', 'error'],
      // Written down on both sides, they may be two names of one thing: Okta's `uid` is the `sub` of its ID tokens.
      ['oid', 'sub', 'warning'],
    ] as const) {
      const problems = toldIn(method, login);
      assert.deepEqual(
        problems.map((problem) => `${problem.severity} ${pathText(problem.path)}`),
        [`${severity} incomingAuth[0]`],
      );
      assert.match(problems[0]?.message ?? '', /oid/);
    }
    for (const claim of ['oid', 'sub', undefined]) assert.deepEqual(toldIn(claim, claim), []);
    assert.deepEqual(toldIn('sub', undefined), []);
  });

  test('a policy of the wrong shape has no shape to check further', () => {
    for (const raw of [undefined, null, 5, 'x', [], {}, { ...POLICY, extra: 1 }, JSON.parse('{"__proto__": {}}')]) {
      const { policy, shape, problems } = validatePolicy(raw, WORLD);
      assert.deepEqual([policy, shape], [undefined, undefined]);
      assert.ok(
        problems.length > 0 && problems.every((problem) => problem.code === 'SCHEMA' && problem.severity === 'error'),
      );
    }
  });
});

test('values of the metadata are told only where they are names', () => {
  const secret = 'hunter2-hunter2';
  const policies = [
    { headerForward: { plaintext: { 'X-Api-Key': secret }, secrets: { 'X-A': secret } } },
    { outgoingAuth: { type: 'header_injection', headerInjection: { headerName: 'X-A', secret } } },
    { outgoingAuth: { type: 'header_injection', headerInjection: { headerName: 'Authorization', value: secret } } },
    { resource: `https://u:${secret}@mcp.example.com` },
    { resource: secret },
    { identityPropagation: { mode: secret, sign: secret, metaKey: `_${secret}` } },
    { passthroughHeaders: [`${secret} `] },
    { outgoingAuth: { type: secret } },
  ];
  for (const more of policies)
    assert.doesNotMatch(JSON.stringify(validatePolicy({ ...POLICY, ...more }, WORLD).problems), /hunter2/);
});
