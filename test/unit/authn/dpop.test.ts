import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { allowInsecureRequests, validateJwtAccessToken } from 'oauth4webapi';
import { createChain } from '../../../src/authn/chain.ts';
import { type DpopParts, withProofs } from '../../../src/authn/dpop.ts';
import { judgeIntrospection } from '../../../src/authn/introspected-token.ts';
import { createJwt } from '../../../src/authn/jwt.ts';
import { KeySet } from '../../../src/authn/key-set.ts';
import { introspectionSchema, jwtSchema } from '../../../src/authn/schema.ts';
import { VerifiedTokens } from '../../../src/authn/verified-tokens.ts';
import { HeaderFields } from '../../../src/core/request-facts.ts';
import { createEgress } from '../../../src/net/egress.ts';
import { type DpopClient, dpopClient, type ProofOptions } from '../../support/dpop-client.ts';
import { type FakeIssuer, startIssuer } from '../../support/issuer.ts';
import { bounded, dpopParts, requestWith, testTools } from './support.ts';

const RESOURCE = 'https://mcp.example.com/mcp';
const START_MS = Math.floor(Date.now() / 1_000) * 1_000;
const START = START_MS / 1_000;

let idp: FakeIssuer;
let client: DpopClient;
let thief: DpopClient;
before(async () => {
  idp = await startIssuer({ audience: RESOURCE, nowMs: () => START_MS });
  [client, thief] = await Promise.all([dpopClient(), dpopClient()]);
});
after(() => idp.stop());

const bound = (more: Record<string, unknown> = {}) => idp.token({ cnf: { jkt: client.thumbprint }, ...more });

function kit(config: Record<string, unknown> = {}, changed: Partial<DpopParts> = {}) {
  const tools = testTools(START_MS);
  const parsed = jwtSchema.parse({ type: 'jwt', issuer: idp.issuer, dpop: 'allowed', ...config });
  const keys = new KeySet({ method: 'corp', issuer: idp.issuer, jwksUri: undefined }, tools, createEgress(tools));
  const jwt = createJwt('corp', parsed, tools, new VerifiedTokens(tools.metrics), keys);
  const { dpop, dpopNonce } = parsed;
  const method = dpop === 'off' ? jwt : withProofs(jwt, { dpop, dpopNonce }, { ...dpopParts(tools), ...changed });
  const chain = createChain([method], RESOURCE);
  /** What comes of a request: the reason, with its detail when there is one, or the subject. */
  const send = async (lines: readonly string[], request: { method?: string; path?: string } = {}) => {
    const headers = new HeaderFields(lines.map((line, i) => (i % 2 === 0 ? line.toLowerCase() : line)));
    const outcome = await chain({ ...requestWith({}), ...request, headers }, bounded());
    if (outcome.kind === 'identified') return outcome.identity.kind === 'user' ? outcome.identity.subject : 'anonymous';
    const { reason, detail, ...more } = outcome.refusal;
    return { reason, ...(detail === undefined ? {} : { detail }), ...more };
  };
  return { tools, method, chain, send };
}

describe('a proof', { timeout: 30_000 }, () => {
  type Row = [
    fault: string,
    options: () => ProofOptions,
    request?: { method?: string; path?: string; by?: () => DpopClient },
  ];
  const without = (name: string) => () => ({ claims: { [name]: undefined } });
  const table: Record<string, Row> = {
    'another typ': ['typ is not dpop+jwt', () => ({ header: { typ: 'JWT' } })],
    'no typ': ['typ is not dpop+jwt', () => ({ header: { typ: undefined } })],
    'a symmetric key': [
      'alg is not accepted',
      () => ({ header: { alg: 'HS256', jwk: { kty: 'oct', k: 'AAAA' } }, key: Buffer.alloc(32, 1) }),
    ],
    crit: ['crit asks for an extension', () => ({ header: { crit: ['x'], x: 1 } })],
    'no key': ['jwk is not a public key', () => ({ header: { jwk: undefined } })],
    'a private key': ['jwk is not a public key', () => ({ header: { jwk: client.privateJwk } })],
    'a key without its coordinates': [
      'jwk is not a public key',
      () => ({ header: { jwk: { kty: 'EC', crv: 'P-256' } } }),
    ],
    'the key of a thief': ['the token is bound to another key', () => ({}), { by: () => thief }],
    'our key, signed by a thief': [
      'the signature is wrong, or the key does not fit alg',
      () => ({ header: { jwk: client.jwk } }),
      { by: () => thief },
    ],
    'no jti': ['jti is missing or no usable text', without('jti')],
    'an empty jti': ['jti is missing or no usable text', () => ({ claims: { jti: '' } })],
    'a jti without end': ['jti is missing or no usable text', () => ({ claims: { jti: 'x'.repeat(513) } })],
    'a jti that is a number': ['jti is missing or no usable text', () => ({ claims: { jti: 7 } })],
    'no htm': ['htm is another method', without('htm')],
    'another htm': ['htm is another method', () => ({ claims: { htm: 'GET' } })],
    'htm in small letters': ['htm is another method', () => ({ claims: { htm: 'post' } })],
    'no htu': ['htu is another URL', without('htu')],
    'htu of another host': ['htu is another URL', () => ({ claims: { htu: 'https://other.example.com/mcp' } })],
    'htu of another scheme': ['htu is another URL', () => ({ claims: { htu: 'http://mcp.example.com/mcp' } })],
    'htu of another port': ['htu is another URL', () => ({ claims: { htu: 'https://mcp.example.com:444/mcp' } })],
    'htu of another path': ['htu is another URL', () => ({ claims: { htu: `${RESOURCE}/` } })],
    'htu with a user': ['htu is another URL', () => ({ claims: { htu: 'https://u@mcp.example.com/mcp' } })],
    'htu that is only repaired into the URL': ['htu is another URL', () => ({ claims: { htu: ` ${RESOURCE}` } })],
    'htu with an escaped slash': [
      'htu is another URL',
      () => ({ claims: { htu: 'https://mcp.example.com/a%2Fb' } }),
      { path: '/a/b' },
    ],
    'a path that is no path': [
      'htu is another URL',
      () => ({ claims: { htu: 'https://mcp.example.com/' } }),
      { path: '*' },
    ],
    'no iat': ['iat is not a number', without('iat')],
    'iat as text': ['iat is not a number', () => ({ claims: { iat: String(START) } })],
    'iat too old': ['iat is too long ago', () => ({ claims: { iat: START - 61 } })],
    'iat of the future': ['iat lies in the future', () => ({ claims: { iat: START + 6 } })],
    'no ath': ['ath is of another token', without('ath')],
    'ath of another token': ['ath is of another token', () => ({ claims: { ath: 'A'.repeat(43) } })],
  };
  for (const [name, [detail, options, request = {}]] of Object.entries(table)) {
    test(`dpop_proof_invalid: ${name}`, async () => {
      const { send } = kit();
      const { by = () => client, ...sent } = request;
      const token = await bound();
      const proof = await by().proof('POST', RESOURCE, token, { nowMs: START_MS, ...options() });
      const lines = ['Authorization', `DPoP ${token}`, 'DPoP', proof];
      assert.deepEqual(await send(lines, sent), { reason: 'dpop_proof_invalid', detail });
    });
  }

  test('dpop_proof_invalid: nothing like a proof, more than one, and signatures that are changed', async () => {
    const { send } = kit();
    const token = await bound();
    const lines = (...proofs: string[]) => [
      'Authorization',
      `DPoP ${token}`,
      ...proofs.flatMap((one) => ['DPoP', one]),
    ];
    const good = () => client.proof('POST', RESOURCE, token, { nowMs: START_MS });
    const [one, two] = [await good(), await good()];
    const noJwt = { reason: 'dpop_proof_invalid', detail: 'it is no JWT, or too long' };
    for (const text of ['', 'x', 'a.b.c', `${one},${two}`, `${one} `, await longProof(token)])
      assert.deepEqual(await send(lines(text)), noJwt, text.slice(0, 20));
    assert.deepEqual(await send(lines(one, two)), { reason: 'dpop_proof_invalid', detail: 'there is more than one' });
    assert.deepEqual(await send(lines(one, one)), { reason: 'dpop_proof_invalid', detail: 'there is more than one' });
    const unsigned = {
      reason: 'dpop_proof_invalid',
      detail: 'the signature is wrong, or the key does not fit alg',
    };
    assert.deepEqual(await send(lines(one.replace(/\.[^.]*$/, '.'))), unsigned);
    assert.deepEqual(await send(lines(one.replace(/\.[^.]*$/, `.${two.split('.')[2]}`))), unsigned);
    const none = Buffer.from(JSON.stringify({ typ: 'dpop+jwt', alg: 'none', jwk: client.jwk })).toString('base64url');
    assert.deepEqual(await send(lines(one.replace(/^[^.]*/, none))), {
      reason: 'dpop_proof_invalid',
      detail: 'alg is not accepted',
    });
    assert.deepEqual(await send(lines()), { reason: 'dpop_proof_missing' });
    assert.equal(await send(lines(one)), 'alice', 'none of these has used it up');
  });

  const longProof = (token: string) =>
    client.proof('POST', RESOURCE, token, { nowMs: START_MS, claims: { filler: 'x'.repeat(8_192) } });

  const fits: [name: string, options: ProofOptions, request?: { method?: string; path?: string }][] = [
    ['as it should be', {}],
    ['the oldest', { claims: { iat: START - 60 } }],
    ['the youngest', { claims: { iat: START + 5 } }],
    ['query and fragment of htu do not count', { claims: { htu: `${RESOURCE}?a=b#c` } }],
    ['the query of the request does not count', {}, { path: '/mcp?session=1' }],
    ['host and scheme in any case, default port', { claims: { htu: 'HTTPS://MCP.example.com:443/mcp' } }],
    [
      'escapes that need none, in any case',
      { claims: { htu: 'https://mcp.example.com/%6dcp/%c3%a9' } },
      { path: '/mcp/%C3%A9' },
    ],
    ['another method', { claims: { htm: 'DELETE' } }, { method: 'DELETE' }],
    ['a nonce that nobody asked for', { claims: { nonce: 'x' } }],
  ];
  for (const [name, options, request] of fits) {
    test(`good: ${name}`, async () => {
      const token = await bound();
      const lines = await client.headers('POST', RESOURCE, token, { nowMs: START_MS, ...options });
      assert.equal(await kit().send(lines, request), 'alice');
    });
  }

  for (const alg of ['RS256', 'PS512', 'ES384', 'EdDSA', 'Ed25519']) {
    test(`good: ${alg}`, async () => {
      const other = await dpopClient(alg);
      const token = await idp.token({ cnf: { jkt: other.thumbprint } });
      assert.equal(await kit().send(await other.headers('POST', RESOURCE, token, { nowMs: START_MS })), 'alice');
    });
  }

  test('names the host of its own route, whatever host the others have', async () => {
    const { method } = kit();
    const hosts = ['https://github.example.com/mcp', 'https://wiki.example.com:8443/mcp', RESOURCE];
    const token = await idp.token({ aud: hosts, cnf: { jkt: client.thumbprint } });
    const outcomes: boolean[][] = [];
    for (const resource of hosts) {
      const chain = createChain([method], resource);
      const row: boolean[] = [];
      for (const htu of hosts) {
        const lines = await client.headers('POST', htu, token, { nowMs: START_MS });
        const headers = new HeaderFields(lines.map((line, i) => (i % 2 === 0 ? line.toLowerCase() : line)));
        // What the request says of its host is what its sender likes.
        const outcome = await chain({ ...requestWith({}), host: new URL(htu).host, headers }, bounded());
        row.push(outcome.kind === 'identified');
      }
      outcomes.push(row);
    }
    assert.deepEqual(outcomes, [
      [true, false, false],
      [false, true, false],
      [false, false, true],
    ]);
  });

  test('is good once, for all who share the memory', async () => {
    const shared = dpopParts(testTools());
    const [one, two] = [kit({}, { once: shared.once }), kit({}, { once: shared.once })];
    const token = await bound();
    const lines = await client.headers('POST', RESOURCE, token, { nowMs: START_MS });
    const outcomes = await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? one : two).send(lines)));
    assert.equal(outcomes.filter((outcome) => outcome === 'alice').length, 1);
    assert.equal(outcomes.filter((outcome) => typeof outcome === 'object').length, 9);
    assert.deepEqual(await two.send(lines), { reason: 'dpop_proof_replayed' });
    assert.equal(await one.send(await client.headers('POST', RESOURCE, token, { nowMs: START_MS })), 'alice');
  });

  test('is remembered for as long as any replica may take it', async () => {
    const asked: [string, number][] = [];
    const { send } = kit({}, { once: async (key, ttlMs) => asked.push([key, ttlMs]) > 0 });
    await send(await client.headers('POST', RESOURCE, await bound(), { nowMs: START_MS, claims: { jti: 'j 1' } }));
    assert.deepEqual(asked, [[`dpop ${client.thumbprint} j 1`, 125_000]]);
  });

  test('replay_unchecked: a memory that fails lets nobody pass', async () => {
    const { send } = kit({}, { once: () => Promise.reject(new RangeError('secret')) });
    assert.deepEqual(await send(await client.headers('POST', RESOURCE, await bound(), { nowMs: START_MS })), {
      reason: 'replay_unchecked',
      detail: 'the store of used proofs failed: RangeError',
      retryAfterSeconds: 1,
    });
  });

  test('a call that ends while the memory is asked is late, not wrong', async () => {
    const end = new AbortController();
    const once: DpopParts['once'] = (_key, _ttlMs, signal) => {
      end.abort();
      return Promise.reject(signal.reason as Error);
    };
    const { chain } = kit({}, { once });
    const lines = await client.headers('POST', RESOURCE, await bound(), { nowMs: START_MS });
    const headers = new HeaderFields(lines.map((line, i) => (i % 2 === 0 ? line.toLowerCase() : line)));
    assert.deepEqual(await chain({ ...requestWith({}), headers }, end.signal), {
      kind: 'rejected',
      refusal: { reason: 'deadline_exceeded' },
    });
  });

  test('oauth4webapi, as an independent judge, takes what we take', async () => {
    const token = await bound();
    const proof = await client.proof('POST', RESOURCE, token);
    const request = new Request(RESOURCE, { method: 'POST', headers: { authorization: `DPoP ${token}`, dpop: proof } });
    const server = { issuer: idp.issuer, jwks_uri: idp.jwksUri };
    const options = { requireDPoP: true, [allowInsecureRequests]: true };
    const claims = await validateJwtAccessToken(server, request, RESOURCE, options);
    assert.equal(claims.sub, 'alice');
    assert.equal(await kit().send(['Authorization', `DPoP ${token}`, 'DPoP', proof]), 'alice');
  });
});

describe('which tokens', { timeout: 30_000 }, () => {
  const bearer = (token: string) => ['Authorization', `Bearer ${token}`];

  test('off: bound ones are refused, and nobody reads the scheme', async () => {
    const { send } = kit({ dpop: 'off' });
    const token = await bound();
    assert.deepEqual(await send(bearer(token)), { reason: 'token_sender_constrained' });
    assert.deepEqual(await send(await client.headers('POST', RESOURCE, token)), { reason: 'scheme_not_accepted' });
    assert.equal(await send([...bearer(await idp.token()), 'DPoP', 'x']), 'alice', 'a proof that nobody asked for');
  });

  test('allowed: both, each by its own scheme', async () => {
    const { send } = kit();
    const [token, plain] = [await bound(), await idp.token()];
    assert.equal(await send(bearer(plain)), 'alice');
    const proof = await client.proof('POST', RESOURCE, token, { nowMs: START_MS });
    assert.deepEqual(await send([...bearer(token), 'DPoP', proof]), { reason: 'token_sender_constrained' });
    assert.deepEqual(await send(bearer(token)), { reason: 'token_sender_constrained' });
    assert.deepEqual(await send(await client.headers('POST', RESOURCE, plain)), { reason: 'token_not_bound' });
    assert.equal(await send(['Authorization', `dPoP   ${token}`, 'DPoP', proof]), 'alice');
  });

  test('required: bound ones only', async () => {
    const { send } = kit({ dpop: 'required' });
    const token = await bound();
    assert.deepEqual(await send(bearer(await idp.token())), { reason: 'token_not_bound' });
    assert.deepEqual(await send(bearer(token)), { reason: 'token_sender_constrained' });
    assert.equal(await send(await client.headers('POST', RESOURCE, token, { nowMs: START_MS })), 'alice');
  });

  test('a binding that cannot be checked is refused, whatever stands beside it', async () => {
    const { send } = kit();
    const jkt = client.thumbprint;
    for (const cnf of [
      null,
      'x',
      [],
      {},
      { jkt: 7 },
      { jkt: `${jkt}=` },
      { jkt, 'x5t#S256': jkt },
      { 'x5t#S256': jkt },
    ]) {
      const token = await idp.token({ cnf });
      for (const lines of [bearer(token), await client.headers('POST', RESOURCE, token, { nowMs: START_MS })]) {
        const outcome = await send(lines);
        assert.ok(typeof outcome === 'object' && outcome.reason === 'token_sender_constrained', JSON.stringify(cnf));
      }
    }
  });

  test('what is wrong with the token is said first', async () => {
    const { send } = kit();
    for (const [token, reason] of [
      [await bound({ exp: START - 60 }), 'token_expired'],
      [await bound({ iss: 'https://other.example.com' }), 'token_issuer'],
      ['opaque', 'token_malformed'],
    ] as const) {
      assert.deepEqual(await send(['Authorization', `DPoP ${token}`, 'DPoP', 'x']), { reason });
    }
    assert.deepEqual(await send(['Authorization', 'DPoP a,b']), { reason: 'authorization_repeated' });
    assert.deepEqual(await send(['Authorization', 'DPoP']), { reason: 'authorization_malformed' });
    assert.deepEqual(await send(['DPoP', 'x']), { reason: 'credential_missing' });
    const foreign = await bound({ aud: 'https://other.example.com' });
    assert.deepEqual(await send(await client.headers('POST', RESOURCE, foreign, { nowMs: START_MS })), {
      reason: 'token_audience',
      detail: `aud must hold ${RESOURCE}`,
    });
  });

  test('the token is verified once, the proof every time', async () => {
    const { send, tools } = kit();
    const token = await bound();
    for (let i = 0; i < 3; i++)
      assert.equal(await send(await client.headers('POST', RESOURCE, token, { nowMs: START_MS })), 'alice');
    assert.equal(tools.metric('mcp_identity_token_cache_misses_total{method=corp}'), 1);
    assert.equal(tools.metric('mcp_identity_token_cache_hits_total{method=corp}'), 2);
    assert.deepEqual(await send(bearer(token)), { reason: 'token_sender_constrained' });
    assert.deepEqual(await send(await thief.headers('POST', RESOURCE, token, { nowMs: START_MS })), {
      reason: 'dpop_proof_invalid',
      detail: 'the token is bound to another key',
    });
  });
});

describe('an introspected token', { timeout: 30_000 }, () => {
  const jkt = 'A'.repeat(43);
  const rows: [name: string, claims: Record<string, unknown>, dpop: 'off' | 'allowed', expected: string][] = [
    ['bound', { cnf: { jkt }, token_type: 'DPoP' }, 'allowed', jkt],
    ['bound, and its type is not said', { cnf: { jkt } }, 'allowed', jkt],
    ['bound, and called Bearer', { cnf: { jkt }, token_type: 'Bearer' }, 'allowed', jkt],
    ['not bound', { token_type: 'Bearer' }, 'allowed', 'bearer'],
    ['called DPoP without a key', { token_type: 'DPoP' }, 'allowed', 'token_sender_constrained'],
    ['bound to a certificate', { cnf: { 'x5t#S256': jkt } }, 'allowed', 'token_sender_constrained'],
    ['bound, of another type', { cnf: { jkt }, token_type: 'PoP' }, 'allowed', 'token_type'],
    ['bound, where DPoP is off', { cnf: { jkt }, token_type: 'DPoP' }, 'off', 'token_sender_constrained'],
  ];
  for (const [name, claims, dpop, expected] of rows) {
    test(name, () => {
      const issuer = 'https://idp.example.com';
      const rules = introspectionSchema.parse({
        type: 'introspection',
        issuer,
        clientId: 'c',
        clientSecret: 's',
        dpop,
      });
      const about = { methodName: 'opaque', token: 't', nowMs: START_MS };
      const judged = judgeIntrospection({ active: true, sub: 'alice', ...claims }, rules, about);
      assert.equal('reason' in judged ? judged.reason : (judged.boundTo ?? 'bearer'), expected);
    });
  }
});

describe('a nonce of the server', { timeout: 30_000 }, () => {
  test('is asked for, accepted for five minutes, and known to other replicas', async () => {
    const [one, two] = [kit({ dpopNonce: true }), kit({ dpopNonce: true })];
    const token = await bound({ exp: START + 3_600 });
    const lines = (nonce?: unknown, nowMs = one.tools.time.nowMs) =>
      client.headers('POST', RESOURCE, token, { nowMs, claims: { nonce } });
    const first = await one.send(await lines());
    assert.ok(typeof first === 'object' && first.reason === 'dpop_nonce_wanted');
    const { dpopNonce } = first as { dpopNonce?: string };
    assert.match(dpopNonce ?? '', /^[\x21\x23-\x5b\x5d-\x7e]+$/, 'RFC 9449 8.1');
    assert.equal(await one.send(await lines(dpopNonce)), 'alice');
    assert.equal(await two.send(await lines(dpopNonce)), 'alice');
    for (const other of ['', 7, 'made-up', `${dpopNonce}A`]) {
      const outcome = await one.send(await lines(other));
      assert.ok(typeof outcome === 'object' && outcome.reason === 'dpop_nonce_wanted', String(other));
    }
    one.tools.time.nowMs += 300_000 - 1;
    assert.equal(await one.send(await lines(dpopNonce)), 'alice');
    one.tools.time.nowMs += 1;
    const late = await one.send(await lines(dpopNonce));
    assert.ok(typeof late === 'object' && late.reason === 'dpop_nonce_wanted');
    assert.notEqual((late as { dpopNonce?: string }).dpopNonce, dpopNonce);
    two.tools.time.nowMs -= 30_001;
    const early = await two.send(await lines(dpopNonce, two.tools.time.nowMs));
    assert.ok(typeof early === 'object' && early.reason === 'dpop_nonce_wanted', 'of a time to come');
  });
});
