import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { allowInsecureRequests, customFetch, validateJwtAccessToken } from 'oauth4webapi';
import { readAuthorization } from '../../../src/authn/authorization.ts';
import { createJwt } from '../../../src/authn/jwt.ts';
import { KeySet } from '../../../src/authn/key-set.ts';
import { ABSENT, type IncomingMethod, type Outcome } from '../../../src/authn/method.ts';
import { jwtSchema } from '../../../src/authn/schema.ts';
import { VerifiedTokens } from '../../../src/authn/verified-tokens.ts';
import type { User } from '../../../src/core/identity.ts';
import type { MaybePromise } from '../../../src/core/maybe-promise.ts';
import type { Reason } from '../../../src/core/refusal.ts';
import { createEgress } from '../../../src/net/egress.ts';
import { type FakeIssuer, startIssuer, type TokenOptions } from '../../support/issuer.ts';
import { bounded, requestWith, type TestTools, testTools } from './support.ts';

const RESOURCE = 'https://mcp.example.com/mcp';
const START_MS = Date.now();
const START = Math.floor(START_MS / 1_000);

let idp: FakeIssuer;
before(async () => {
  idp = await startIssuer({ audience: RESOURCE, nowMs: () => START_MS });
});
after(() => idp.stop());

interface Kit {
  readonly tools: TestTools;
  readonly verified: VerifiedTokens;
  readonly method: IncomingMethod;
  /** The outcome as the method gives it: a promise or not. */
  readonly present: (token: string, signal?: AbortSignal) => MaybePromise<Outcome>;
}

function kit(config: Record<string, unknown> = {}, issuer: FakeIssuer = idp, shared?: Kit, name = 'corp'): Kit {
  const tools = shared?.tools ?? testTools(START_MS);
  const verified = shared?.verified ?? new VerifiedTokens(tools.metrics);
  const parsed = jwtSchema.parse({
    type: 'jwt',
    issuer: issuer.issuer,
    algorithms: ['RS256', 'ES256', 'EdDSA'],
    ...config,
  });
  const keys = new KeySet(
    { method: name, issuer: parsed.issuer, jwksUri: parsed.jwksUri },
    tools,
    createEgress({ ...tools, timeoutMs: 300 }),
  );
  const method = createJwt(name, parsed, tools, verified, keys);
  const present = (token: string, signal = bounded()) => {
    const facts = requestWith({ authorization: `Bearer ${token}` });
    return method.authenticate(facts, readAuthorization(facts.headers), signal);
  };
  return { tools, verified, method, present };
}

async function identified(outcome: MaybePromise<Outcome>): Promise<User> {
  const settled = await outcome;
  assert.equal(settled.kind, 'identified', JSON.stringify(settled));
  return (settled as Outcome & { kind: 'identified' }).user;
}

async function rejected(outcome: MaybePromise<Outcome>, reason: Reason, detail?: string): Promise<void> {
  assert.deepEqual(await outcome, {
    kind: 'rejected',
    refusal: { reason, ...(detail === undefined ? {} : { detail }) },
  });
}

describe('a good token', { timeout: 20_000 }, () => {
  test('tells who the user is', async () => {
    const token = await idp.token({
      sub: 'alice',
      email: 'alice@example.com',
      groups: ['a', 'b'],
      realm_access: { roles: ['admin'] },
      scope: 'mcp:read mcp:write',
      scp: ['repo:admin', 'mcp:read', 7],
      act: { sub: 'agent', act: { sub: 'gateway' } },
      aud: [RESOURCE, 'https://other.example.com'],
      exp: START + 60,
    });
    const user = await identified(kit({ attributeClaims: { roles: 'realm_access.roles' } }).present(token));
    const { claims, token: secret, scopes, ...rest } = user;
    assert.deepEqual(rest, {
      kind: 'user',
      issuer: idp.issuer,
      subject: 'alice',
      authMethod: 'jwt',
      methodName: 'corp',
      attributes: { email: 'alice@example.com', groups: ['a', 'b'], roles: ['admin'] },
      delegationChain: ['agent', 'gateway'],
      audiences: [RESOURCE, 'https://other.example.com'],
      expiresAt: START + 60,
    });
    assert.equal(claims['email'], 'alice@example.com');
    assert.deepEqual([...scopes], ['mcp:read', 'mcp:write', 'repo:admin']);
    assert.equal(secret?.reveal(), token);
    assert.doesNotMatch(JSON.stringify(user), new RegExp(token.slice(-20)));
  });

  const variants: Record<
    string,
    [claims: Record<string, unknown>, options?: TokenOptions, config?: Record<string, unknown>]
  > = {
    ES256: [{}, { alg: 'ES256' }],
    EdDSA: [{}, { alg: 'EdDSA' }],
    'no kid': [{}, { kid: null }],
    'typ JWT': [{}, { typ: 'JWT' }],
    'no typ, which counts as JWT': [{}, { typ: null }],
    'typ with other letters and prefix': [{}, { typ: 'Application/AT+JWT' }],
    'a typ of one’s own': [{}, { typ: 'x+jwt' }, { tokenTypes: ['application/X+jwt'] }],
    'no aud: the chain judges that': [{ aud: undefined }],
    'no iat': [{ iat: undefined }],
    'iat in the future': [{ iat: START + 3_600 }],
    'another subject claim': [{ sub: undefined, oid: 'o-1' }, {}, { subjectClaim: 'oid' }],
    'a subject claim inside an object': [{ user: { id: 'u-1' } }, {}, { subjectClaim: 'user.id' }],
    'a long subject': [{ sub: 'x'.repeat(1_024) }],
    'a subject beyond ASCII, with a line break': [{ sub: 'Zoë\n🦉' }],
    'required value': [{ tenant: 'acme' }, {}, { requiredClaims: { tenant: 'acme' } }],
    'required element': [{ tenants: ['x', 'acme'] }, {}, { requiredClaims: { tenants: 'acme' } }],
    'required object as element': [{ orgs: [{ id: 1 }] }, {}, { requiredClaims: { orgs: { id: 1 } } }],
    'required list': [{ tenants: ['x', 'y'] }, {}, { requiredClaims: { tenants: ['x', 'y'] } }],
    'required object inside an object': [{ a: { b: { c: 1 } } }, {}, { requiredClaims: { 'a.b': { c: 1 } } }],
    'members of the header that choose a key elsewhere are ignored': [
      {},
      { header: { jku: 'https://evil.example.com', x5u: 'https://evil.example.com' } },
    ],
  };
  for (const [name, [claims, options, config]] of Object.entries(variants)) {
    test(name, async () => {
      await identified(kit(config).present(await idp.token(claims, options)));
    });
  }
});

describe('a token that is not of this method', { timeout: 20_000 }, () => {
  const encode = (value: unknown) =>
    Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
  const absent: Record<string, () => string | Promise<string>> = {
    opaque: () => 'gho_16C7e42F292c6912E7710c838347Ae178B4a',
    'two parts': () => 'a.b',
    'three parts that are no JSON': () => 'a.b.c',
    'five parts (JWE)': () => 'a.b.c.d.e',
    'another issuer': () => idp.token({ iss: 'https://other.example.com' }),
    'issuer with a slash more': () => idp.token({ iss: `${idp.issuer}/` }),
    'issuer in other case': () => idp.token({ iss: idp.issuer.toUpperCase() }),
    'no issuer': () => idp.token({ iss: undefined }),
    'a list of issuers': () => idp.token({ iss: [idp.issuer] }),
    'a header that is a list': () => `${encode([])}.${encode({ iss: idp.issuer })}.`,
    'a payload that is null': () => `${encode({ alg: 'RS256' })}.${encode('null')}.`,
    'a payload that is not UTF-8': () =>
      `${encode({ alg: 'RS256' })}.${Buffer.from(`{"iss":"${idp.issuer}","sub":"\xff"}`, 'latin1').toString('base64url')}.`,
    padding: async () => `${await idp.token()}=`,
    'base64 that is not base64url': async () => (await idp.token()).replace('.', '+.'),
  };
  for (const [name, make] of Object.entries(absent)) {
    test(name, async () => {
      const fetched = idp.requests.jwks;
      assert.equal(kit().present(await make()), ABSENT);
      assert.equal(idp.requests.jwks, fetched);
    });
  }

  test('no bearer at all', () => {
    const { method } = kit();
    for (const headers of [{}, { authorization: 'Basic dTpw' }, { authorization: 'DPoP a.b.c' }]) {
      const facts = requestWith(headers);
      assert.equal(method.authenticate(facts, readAuthorization(facts.headers), bounded()), ABSENT);
    }
  });
});

describe('every refusal', { timeout: 20_000 }, () => {
  type Row = [
    reason: Reason,
    detail: string | undefined,
    make: () => string | Promise<string>,
    config?: Record<string, unknown>,
  ];
  const raw = (members: string) => idp.tokenOf(`{"iss":"${idp.issuer}","sub":"alice",${members}}`);
  const table: Record<string, Row> = {
    'longer than 16 KiB': ['token_too_large', undefined, () => idp.token({ filler: 'x'.repeat(16 * 1024) })],
    unsigned: ['token_algorithm', undefined, () => idp.unsecured()],
    'HS256 with the public key': ['token_algorithm', undefined, () => idp.confused()],
    'an algorithm that is not listed': [
      'token_algorithm',
      undefined,
      () => idp.token({}, { alg: 'ES256' }),
      { algorithms: ['RS256'] },
    ],
    'an ID token': ['token_type', undefined, () => idp.token({}, { typ: 'id+jwt' })],
    'plain JWT where only at+jwt is accepted': [
      'token_type',
      undefined,
      () => idp.token({}, { typ: null }),
      { tokenTypes: ['at+jwt'] },
    ],
    'typ that is no string': ['token_type', undefined, () => idp.token({}, { header: { typ: ['at+jwt'] } })],
    crit: ['token_malformed', 'crit asks for an extension', () => idp.token({}, { header: { crit: ['x'], x: 1 } })],
    'kid that is no string': ['token_malformed', 'kid is not a string', () => idp.token({}, { header: { kid: 7 } })],
    'a signature that is no base64url': [
      'token_malformed',
      undefined,
      async () => (await idp.token()).replace(/\.[^.]*$/, '.AAAAA'),
    ],
    'unknown kid': ['token_key_unknown', undefined, () => idp.token({}, { kid: 'made-up' })],
    'kid of another algorithm’s key': [
      'token_key_unknown',
      undefined,
      () => idp.token({}, { kid: idp.jwks().find((jwk) => jwk.alg === 'ES256')?.kid as string }),
    ],
    'a key of somebody else': ['token_signature', undefined, () => idp.forged()],
    'a key of somebody else, without kid': ['token_signature', undefined, () => idp.forged({}, { kid: null })],
    'no signature': ['token_signature', undefined, async () => (await idp.token()).replace(/\.[^.]*$/, '.')],
    expired: ['token_expired', undefined, () => idp.token({ exp: START - 60 })],
    'not yet valid': ['token_not_yet_valid', undefined, () => idp.token({ nbf: START + 60 })],
    'no exp': ['token_claims', 'exp is missing', () => idp.token({ exp: undefined })],
    'exp as text': ['token_claims', 'exp is not a number', () => idp.token({ exp: String(START + 60) })],
    'exp beyond all numbers': ['token_claims', 'exp is not a number', () => raw('"exp":1e999')],
    'exp null': ['token_claims', 'exp is not a number', () => idp.token({ exp: null })],
    'nbf as text': ['token_claims', 'nbf is not a number', () => idp.token({ nbf: '0' })],
    'iat as text': ['token_claims', 'iat is not a number', () => idp.token({ iat: '0' })],
    'no subject': ['token_claims', 'sub is no usable subject', () => idp.token({ sub: undefined })],
    'empty subject': ['token_claims', 'sub is no usable subject', () => idp.token({ sub: '' })],
    'subject as number': ['token_claims', 'sub is no usable subject', () => idp.token({ sub: 7 })],
    'subject too long': ['token_claims', 'sub is no usable subject', () => idp.token({ sub: 'x'.repeat(1_025) })],
    'subject with half a character': [
      'token_claims',
      'sub is no usable subject',
      () => raw(`"sub":"\\ud800","exp":${START + 60}`),
    ],
    'no configured subject claim': [
      'token_claims',
      'oid is no usable subject',
      () => idp.token(),
      { subjectClaim: 'oid' },
    ],
    'aud of another type': [
      'token_claims',
      'aud is neither a string nor a list of strings',
      () => idp.token({ aud: [RESOURCE, 7] }),
    ],
    'required claim missing': [
      'token_claims',
      'tenant has not the required value',
      () => idp.token(),
      { requiredClaims: { tenant: 'acme' } },
    ],
    'required claim with another value': [
      'token_claims',
      'tenant has not the required value',
      () => idp.token({ tenant: 'acme2' }),
      { requiredClaims: { tenant: 'acme' } },
    ],
    'required claim of another type': [
      'token_claims',
      'level has not the required value',
      () => idp.token({ level: '3' }),
      { requiredClaims: { level: 3 } },
    ],
    'required element of another type': [
      'token_claims',
      'levels has not the required value',
      () => idp.token({ levels: ['3'] }),
      { requiredClaims: { levels: 3 } },
    ],
    'bound to a DPoP key': [
      'token_sender_constrained',
      undefined,
      () => idp.token({ cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } }),
    ],
    'bound to a certificate': [
      'token_sender_constrained',
      undefined,
      () => idp.token({ cnf: { 'x5t#S256': 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' } }),
    ],
    'bound to nothing known': ['token_sender_constrained', undefined, () => idp.token({ cnf: null })],
  };
  for (const [name, [reason, detail, make, config]] of Object.entries(table)) {
    test(`${reason}: ${name}`, async () => {
      const { present, tools } = kit(config);
      const token = await make();
      await rejected(present(token), reason, detail);
      await rejected(present(token), reason, detail); // and it stays refused
      assert.equal(tools.metric('mcp_identity_token_cache_entries'), 0);
      assert.doesNotMatch(JSON.stringify(tools.lines), new RegExp(token.slice(0, 40)));
    });
  }

  test('what needs no key to be refused causes no fetch', async () => {
    const own = await startIssuer({ nowMs: () => START_MS });
    const { present } = kit({}, own);
    await rejected(present(await own.token({ exp: START - 60 }, { kid: 'withdrawn' })), 'token_expired');
    await rejected(present(await own.token({ nbf: START + 60 })), 'token_not_yet_valid');
    await rejected(present(own.unsecured()), 'token_algorithm');
    assert.deepEqual(own.requests, { discovery: 0, jwks: 0 });
    await own.stop();
  });

  test('issuer_unavailable: the issuer is down', async () => {
    const down = await startIssuer({ nowMs: () => START_MS });
    const token = await down.token();
    const { present, tools, method } = kit({}, down);
    down.trouble = 'hang-up';
    await method.warm?.();
    const refused = { kind: 'rejected', refusal: { reason: 'issuer_unavailable', retryAfterSeconds: 1 } };
    assert.deepEqual(await present(token), refused);
    down.trouble = undefined;
    assert.deepEqual(await present(token), refused);
    tools.time.nowMs += 1_000;
    await identified(present(token));
    await down.stop();
  });
});

describe('time', { timeout: 20_000 }, () => {
  const at = async (claims: Record<string, unknown>, nowMs: number, clockSkew = '5s') => {
    const { present, tools } = kit({ clockSkew });
    tools.time.nowMs = nowMs;
    const outcome = await present(await idp.token(claims));
    return outcome.kind === 'rejected' ? outcome.refusal.reason : outcome.kind;
  };
  const s = 1_000;
  const edges: [name: string, claims: Record<string, unknown>, nowMs: number, skew: string, expected: string][] = [
    ['exp, last millisecond', { exp: START }, (START + 5) * s - 1, '5s', 'identified'],
    ['exp, over', { exp: START }, (START + 5) * s, '5s', 'token_expired'],
    ['exp without skew', { exp: START }, START * s, '0s', 'token_expired'],
    ['exp without skew, last millisecond', { exp: START }, START * s - 1, '0s', 'identified'],
    ['exp with a fraction', { exp: START + 0.5 }, START * s + 499, '0ms', 'identified'],
    ['exp with a fraction, over', { exp: START + 0.5 }, START * s + 500, '0ms', 'token_expired'],
    ['nbf, first millisecond', { nbf: START }, (START - 5) * s, '5s', 'identified'],
    ['nbf, before', { nbf: START }, (START - 5) * s - 1, '5s', 'token_not_yet_valid'],
    ['skew of less than a second', { exp: START }, START * s + 249, '250ms', 'identified'],
    ['skew of less than a second, over', { exp: START }, START * s + 250, '250ms', 'token_expired'],
  ];
  for (const [name, claims, nowMs, skew, expected] of edges) {
    test(name, async () => assert.equal(await at(claims, nowMs, skew), expected));
  }

  test('a token that expires while keys are waited for is refused', async () => {
    const slow = await startIssuer({ nowMs: () => START_MS });
    const { present, tools } = kit({ clockSkew: '0s' }, slow);
    const release = slow.hold();
    const outcome = present(await slow.token({ exp: START + 1 }));
    tools.time.nowMs += 2_000;
    release();
    await rejected(outcome, 'token_expired');
    await slow.stop();
  });
});

describe('memory', { timeout: 20_000 }, () => {
  let own: FakeIssuer;
  beforeEach(async () => {
    own = await startIssuer({ audience: RESOURCE, nowMs: () => START_MS });
  });
  afterEach(() => own.stop());
  const hits = (tools: TestTools) => tools.metric('mcp_identity_token_cache_hits_total{method=corp}');
  const misses = (tools: TestTools) => tools.metric('mcp_identity_token_cache_misses_total{method=corp}');

  test('a token that was verified is answered at once, with the same user, and without parsing', async (t) => {
    const { present, tools } = kit({}, own);
    const token = await own.token();
    const user = await identified(present(token));
    const parse = t.mock.method(JSON, 'parse');
    const decode = t.mock.method(Buffer, 'from');
    const again = present(token);
    assert.equal(parse.mock.callCount() + decode.mock.callCount(), 0);
    assert.ok(!(again instanceof Promise));
    assert.equal((again as Outcome & { kind: 'identified' }).user, user);
    assert.deepEqual([hits(tools), misses(tools)], [1, 1]);
    assert.equal(tools.metric('mcp_identity_token_cache_entries'), 1);
    assert.equal(tools.metric('mcp_identity_token_cache_bytes'), token.length * 2 + 1_024);
  });

  test('the whole token counts', async () => {
    const { present } = kit({}, own);
    const token = await own.token();
    await identified(present(token));
    const changed = token.slice(0, -8) + (token.at(-8) === 'A' ? 'B' : 'A') + token.slice(-7);
    await rejected(present(changed), 'token_signature');
  });

  test('exp passes on a hit', async () => {
    const { present, tools } = kit({}, own);
    const token = await own.token({ exp: START + 10 });
    await identified(present(token));
    tools.time.nowMs = (START + 15) * 1_000 - 1;
    await identified(present(token));
    assert.equal(hits(tools), 1);
    tools.time.nowMs += 1;
    await rejected(present(token), 'token_expired');
    assert.equal(tools.metric('mcp_identity_token_cache_entries'), 0);
  });

  test('a clock that is set back before nbf', async () => {
    const { present, tools } = kit({}, own);
    const token = await own.token({ nbf: START - 10 });
    await identified(present(token));
    tools.time.nowMs = (START - 20) * 1_000;
    await rejected(present(token), 'token_not_yet_valid');
  });

  test('a key that was withdrawn: noticed although nothing is missed, then refused', async () => {
    const { present, tools } = kit({}, own);
    const token = await own.token({ exp: START + 3_600 });
    await identified(present(token));
    await own.rotate();
    tools.time.nowMs += 600_000;
    await identified(present(token)); // this hit starts the refresh
    assert.equal(tools.metric('mcp_identity_egress_running'), 1);
    assert.equal(hits(tools), 1);
    while (tools.metric('mcp_identity_egress_running') > 0) await new Promise((resolve) => setImmediate(resolve));
    await rejected(present(token), 'token_key_unknown');
    assert.equal(tools.metric('mcp_identity_token_cache_entries'), 0);
    await identified(present(await own.token({ exp: START + 3_600 })));
  });

  test('other keys beside the old one: verified again, not refused', async () => {
    const { present, tools } = kit({}, own);
    const token = await own.token();
    await identified(present(token));
    await own.rotate({ keepOld: true });
    await identified(present(await own.token())); // brings the new keys
    const again = present(token);
    assert.ok(again instanceof Promise);
    await identified(again);
    assert.equal(misses(tools), 3);
    assert.ok(!(present(token) instanceof Promise));
  });

  test('tokens are remembered while the issuer is down', async () => {
    const { present, tools, method } = kit({}, own);
    const token = await own.token({ exp: START + 7_200 });
    await identified(present(token));
    own.trouble = 'hang-up';
    tools.time.nowMs += 3_600_000;
    await identified(present(token));
    await method.warm?.();
    await identified(present(token));
    await identified(present(await own.token({ exp: START + 7_200 }))); // not known yet, but its key is
  });

  test('who comes with the same token meanwhile shares the verification; one who gives up harms nobody', async () => {
    const { present, tools } = kit({}, own);
    const token = await own.token();
    const release = own.hold();
    const caller = new AbortController();
    const impatient = present(token, caller.signal);
    const patient = Array.from({ length: 10 }, () => present(token));
    caller.abort(new Error('gone'));
    await assert.rejects(impatient as Promise<Outcome>, /gone/);
    release();
    const users = await Promise.all(patient.map(identified));
    assert.equal(new Set(users).size, 1);
    assert.equal(tools.metric('mcp_identity_token_cache_entries'), 1);
    assert.deepEqual(own.requests, { discovery: 1, jwks: 1 });
  });

  test('bounded by bytes', async () => {
    const tools = testTools(START_MS);
    const token = await own.token();
    const verified = new VerifiedTokens(tools.metrics, 3 * (token.length * 2 + 1_100));
    const { present } = kit({}, own, { tools, verified } as Kit);
    for (let n = 0; n < 10; n++) await identified(present(await own.token()));
    assert.equal(tools.metric('mcp_identity_token_cache_entries'), 3);
  });

  describe('a token that was forgotten', () => {
    /** Room for one token only. */
    const small = async () => {
      const tools = testTools(START_MS);
      const [first, second] = [await own.token(), await own.token()];
      const verified = new VerifiedTokens(tools.metrics, first.length * 2 + 1_100);
      const { present } = kit({}, own, { tools, verified } as Kit);
      await identified(present(first));
      await identified(present(second));
      return { present, tools, first };
    };

    test('is read again without another look at its signature', async () => {
      const { present, tools, first } = await small();
      const outcome = present(first);
      assert.ok(!(outcome instanceof Promise));
      assert.equal((await identified(outcome)).subject, 'alice');
      assert.equal(tools.metric('mcp_identity_token_cache_reread_total{method=corp}'), 1);
    });

    test('is refused once it has expired', async () => {
      const { present, tools, first } = await small();
      tools.time.nowMs += 310_000;
      await rejected(present(first), 'token_expired');
    });

    test('is verified again when the keys have changed, and refused when its key is gone', async () => {
      const { present, tools, first } = await small();
      await own.rotate();
      tools.time.nowMs += 60_000;
      await identified(present(await own.token({ exp: START_MS / 1_000 + 900 })));
      await rejected(present(first), 'token_key_unknown');
    });

    test('with another signature proves nothing', async () => {
      const { present, first } = await small();
      const other = first.slice(0, -20) + (first.at(-20) === 'A' ? 'B' : 'A') + first.slice(-19);
      await rejected(present(other), 'token_signature');
    });
  });

  test('what one method remembers is absent for another issuer, without parsing', async (t) => {
    const corp = kit({}, own);
    const token = await own.token();
    await identified(corp.present(token));
    const partner = kit({}, idp, corp);
    const parse = t.mock.method(JSON, 'parse');
    assert.equal(partner.present(token), ABSENT);
    assert.equal(parse.mock.callCount(), 0);
  });

  test('what one method remembers is judged anew by another of the same issuer', async () => {
    const corp = kit({}, own);
    const strict = kit({ requiredClaims: { tenant: 'acme' } }, own, corp, 'strict');
    await identified(strict.present(await own.token({ tenant: 'acme' })));
    const token = await own.token();
    await identified(corp.present(token));
    await rejected(strict.present(token), 'token_claims', 'tenant has not the required value');
    assert.ok(!(corp.present(token) instanceof Promise)); // and corp still remembers
  });
});

describe('unknown keys', { timeout: 20_000 }, () => {
  test('a flood of 200 made-up kids causes at most two fetches and harms nobody', async () => {
    const own = await startIssuer({ nowMs: () => START_MS });
    const { present } = kit({}, own);
    const flood = Array.from({ length: 200 }, async (_, n) =>
      rejected(present(await own.token({}, { kid: `made-up-${n}` })), 'token_key_unknown'),
    );
    await Promise.all(flood);
    await identified(present(await own.token()));
    assert.ok(own.requests.jwks <= 2, String(own.requests.jwks));
    await own.stop();
  });
});

describe('agreement with independent judges', { timeout: 60_000 }, () => {
  test('jose.jwtVerify: every character of a token changed, and more', async () => {
    const keys = createLocalJWKSet({ keys: idp.jwks() });
    const good = await idp.token({}, { alg: 'ES256' });
    const tokens = [good, `${good}A`, good.slice(0, -1), good.slice(1), `${good}.`, good.replace('.', '..')];
    for (let i = 0; i < good.length; i++) {
      const other = good[i] === 'A' ? 'Q' : 'A';
      tokens.push(good.slice(0, i) + other + good.slice(i + 1), good.slice(0, i) + good.slice(i + 1));
    }
    const { present } = kit();
    let accepted = 0;
    for (const token of tokens) {
      const ours = (await present(token)).kind === 'identified';
      const options = {
        issuer: idp.issuer,
        algorithms: ['RS256', 'ES256', 'EdDSA'],
        typ: 'at+jwt',
        requiredClaims: ['exp', 'sub'],
        clockTolerance: 5,
        currentDate: new Date(START_MS),
      };
      const theirs = await jwtVerify(token, keys, options).then(
        () => true,
        () => false,
      );
      assert.equal(ours, theirs, token);
      if (ours) accepted++;
    }
    assert.ok(accepted >= 1);
  });

  test('oauth4webapi.validateJwtAccessToken', async () => {
    const now = Math.floor(Date.now() / 1_000);
    const rows: [claims: Record<string, unknown>, options?: TokenOptions][] = [
      [{}],
      [{}, { alg: 'ES256' }],
      [{}, { alg: 'EdDSA' }],
      [{}, { typ: 'application/at+jwt' }],
      [{}, { typ: 'AT+JWT' }],
      [{}, { typ: 'JWT' }],
      [{}, { typ: null }],
      [{}, { kid: 'made-up' }],
      [{}, { kid: null }],
      [{}, { header: { crit: ['b64'], b64: true } }],
      [{ iss: `${idp.issuer}/` }],
      [{ exp: now - 3_600 }],
      [{ exp: undefined }],
      [{ exp: 'soon' }],
      [{ nbf: now + 3_600 }],
      [{ nbf: 'soon' }],
      [{ nbf: now - 3_600 }],
      [{ iat: 'then' }],
      [{ iat: now + 3_600 }],
      [{ sub: undefined }],
      [{ sub: 7 }],
      [{ aud: [RESOURCE, 'x'] }],
      [{ act: { sub: 'agent' } }],
    ];
    const tokens = await Promise.all(rows.map(([claims, options]) => idp.token(claims, options)));
    tokens.push(idp.unsecured(), await idp.confused(), await idp.forged());
    const { present, tools } = kit({ tokenTypes: ['at+jwt'] });
    tools.time.nowMs = Date.now();
    const server = { issuer: idp.issuer, jwks_uri: idp.jwksUri };
    const { fetch } = createEgress(testTools());
    let accepted = 0;
    for (const token of tokens) {
      const ours = (await present(token)).kind === 'identified';
      const request = new Request(RESOURCE, { headers: { authorization: `Bearer ${token}` } });
      const options = { [customFetch]: fetch, [allowInsecureRequests]: true };
      const theirs = await validateJwtAccessToken(server, request, RESOURCE, options).then(
        () => true,
        () => false,
      );
      assert.equal(ours, theirs, Buffer.from(token.split('.').slice(0, 2).join(''), 'base64url').toString());
      if (ours) accepted++;
    }
    assert.ok(accepted >= 8);
  });
});
