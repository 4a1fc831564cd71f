import assert from 'node:assert/strict';
import { generateKeyPairSync, hash, type KeyObject } from 'node:crypto';
import * as fc from 'fast-check';
import {
  calculateJwkThumbprint,
  CompactSign,
  createLocalJWKSet,
  EmbeddedJWK,
  exportJWK,
  type JWK,
  jwtVerify,
} from 'jose';
import { readAuthorization } from '../../src/authn/authorization.ts';
import { readBasicCredentials } from '../../src/authn/basic-credentials.ts';
import { createProofJudge } from '../../src/authn/dpop-proof.ts';
import { externalUrl, normalUrl } from '../../src/authn/dpop-url.ts';
import { createJwt } from '../../src/authn/jwt.ts';
import { parsePasswordHash } from '../../src/authn/password-hash.ts';
import { KeySet } from '../../src/authn/key-set.ts';
import { jwtSchema } from '../../src/authn/schema.ts';
import { VerifiedTokens } from '../../src/authn/verified-tokens.ts';
import { HeaderFields } from '../../src/core/request-facts.ts';
import { requestWith, testTools } from '../unit/authn/support.ts';
import { answering } from './answering.ts';
import { target } from './target.ts';
import { altered, anyText, near } from './texts.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const NOW = NOW_MS / 1_000;
const ISSUER = 'https://idp.example.com';
const never = new AbortController().signal;

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = async (key: KeyObject, kid: string): Promise<JWK> => ({ ...(await exportJWK(key)), kid });
const jwks = { keys: [await jwk(rsa.publicKey, 'r'), await jwk(ec.publicKey, 'e')] };
const ecPublic = await exportJWK(ec.publicKey);
const thumbprint = await calculateJwkThumbprint(ecPublic);
/** The classic confusion: the text of the public key as the secret of a MAC. */
const confused = Buffer.from(rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string);

const tools = testTools(NOW_MS);
const corp = createJwt(
  'corp',
  jwtSchema.parse({ type: 'jwt', issuer: ISSUER, jwksUri: `${ISSUER}/jwks`, clockSkew: '0s', dpop: 'allowed' }),
  tools,
  new VerifiedTokens(tools.metrics),
  new KeySet(
    { method: 'corp', issuer: ISSUER, jwksUri: `${ISSUER}/jwks` },
    tools,
    answering(() => Response.json(jwks)),
  ),
);

const header = { alg: 'ES256', typ: 'at+jwt', kid: 'e' };
const claims = {
  iss: ISSUER,
  sub: 'alice',
  aud: 'https://mcp.example.com/mcp',
  exp: NOW + 60,
  nbf: NOW - 1,
  scope: 'a b',
};
const spare = fc.oneof(
  fc.constantFrom<unknown>(
    'none',
    'HS256',
    'RS256',
    'PS256',
    'ES256',
    'r',
    'e',
    'JWT',
    ISSUER,
    NOW,
    NOW - 1,
    Infinity,
    ['x'],
  ),
  fc.jsonValue({ maxDepth: 2 }),
);
const signers = fc.constantFrom<'ours' | 'rsa' | 'stranger' | 'confused' | 'none'>(
  'ours',
  'ours',
  'ours',
  'rsa',
  'stranger',
  'confused',
  'none',
);
type Signer = typeof signers extends fc.Arbitrary<infer T> ? T : never;

/** A JWS over any two JSON texts: jose would not let us write most of these. */
async function signed(head: unknown, body: unknown, by: Signer): Promise<string> {
  const key = { ours: ec.privateKey, rsa: rsa.privateKey, stranger: stranger.privateKey, confused, none: undefined }[
    by
  ];
  const alg = by === 'rsa' ? 'RS256' : by === 'confused' ? 'HS256' : 'ES256';
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value) ?? 'null').toString('base64url');
  const payload = Buffer.from(JSON.stringify(body) ?? 'null');
  if (key === undefined) return `${encode(head)}.${encode(body)}.`;
  const protectedHeader = { ...(head as object), alg };
  try {
    const crit = Object.fromEntries([(protectedHeader as { crit?: unknown }).crit].flat().map((name) => [name, true]));
    return await new CompactSign(payload).setProtectedHeader(protectedHeader).sign(key, { crit });
  } catch {
    return `${encode(head)}.${encode(body)}.AA`; // a header that jose does not sign
  }
}
const jws = (head: object, body: object) =>
  fc
    .tuple(fc.option(altered(head, spare), { freq: 1 }), fc.option(altered(body, spare), { freq: 1 }), signers)
    .map(([otherHead, otherBody, by]) => ({ head: otherHead ?? head, body: otherBody ?? body, by }));
const spoilt = fc.option(fc.tuple(fc.nat(), fc.constantFrom('', '.', 'A', '=', '\u00e9')), { freq: 2, nil: undefined });
const spoil = (token: string, [at, put]: readonly [number, string]) => {
  const place = at % (token.length + 1);
  return token.slice(0, place) + put + token.slice(place + 1);
};

const judge = createProofJudge();
const proofHeader = { typ: 'dpop+jwt', alg: 'ES256', jwk: ecPublic };
const TOKEN = 'a.b.c';
const URL_OF = 'https://mcp.example.com/mcp';
const proofClaims = { jti: 'j', htm: 'POST', htu: URL_OF, iat: NOW, ath: hash('sha256', TOKEN, 'base64url') };

const HASHES = [
  `$scrypt$ln=14,r=8,p=1$${'A'.repeat(22)}$${'B'.repeat(43)}`,
  `$2b$10$${'a'.repeat(53)}`,
  `$scrypt$ln=99,r=99,p=99$${'A'.repeat(22)}$${'B'.repeat(43)}`,
];

/** What a caller proves itself with. */
export const CREDENTIAL_TARGETS = [
  target(
    'authorization',
    'one credential of one scheme, of token68 characters, or nothing of it is used',
    fc.array(
      near(['Bearer abc.def.ghi', 'bearer  x', 'Basic dTpw', 'DPoP a.b.c', 'Bearer a,Bearer b', 'Negotiate x=']),
      {
        minLength: 1,
        maxLength: 2,
      },
    ),
    (values) => {
      const latin1 = values.map((value) => Buffer.from(value).toString('latin1'));
      const read = readAuthorization(new HeaderFields(latin1.flatMap((value) => ['authorization', value])), true);
      if (read.kind === 'none') assert.fail('a header was overlooked');
      if (values.length > 1) assert.equal(read.kind, 'malformed');
      if (read.kind === 'bearer' || read.kind === 'dpop') {
        assert.match(read.token, /^[\w\-.~+/]+=*$/);
        // RFC 9110 11.4: one or more spaces; and the white space that stands around any field value.
        const { groups } = /^[ \t]*(?<scheme>\w+) [ \t]*(?<token>\S+?)[ \t]*$/.exec(latin1[0] ?? '') ?? {};
        assert.deepEqual([groups?.['scheme']?.toLowerCase(), groups?.['token']], [read.kind, read.token]);
      }
    },
  ),
  target(
    'basic-credentials',
    'read as the standard decodes them, one text per pair, there and back',
    near(['dTpw', 'dXNlcjpwYXNz', Buffer.from('ü:p:ä').toString('base64'), 'Og==']),
    (value) => {
      const read = readBasicCredentials(value);
      const again = (pair: string) => Buffer.from(pair).toString('base64');
      if (read) assert.equal(again(`${read.username}:${read.password}`), value);
      const [user, password] = [value.replaceAll(/[:\p{Cc}]/gu, ''), value.replaceAll(/\p{Cc}/gu, '')];
      const text = again(`${user}:${password}`);
      if (text.length <= 4_096 && value.isWellFormed())
        assert.deepEqual(readBasicCredentials(text), { username: user, password });
    },
  ),
  target(
    'password-hash',
    'a hash that is read costs a bounded time and amount of memory',
    near(HASHES),
    (text) => {
      const read = parsePasswordHash(text);
      if (read?.kind === 'scrypt') {
        const { N, r, p } = read.cost;
        assert.ok(Number.isInteger(Math.log2(N)) && 128 * N * r <= 2 ** 28 && N * r * p <= 2 ** 22);
        assert.ok(read.hash.length >= 16 && read.salt.length >= 8);
      }
      if (read?.kind === 'bcrypt') assert.ok(Number(text.slice(4, 6)) <= 15);
    },
    HASHES,
  ),
  target(
    'jwt',
    'nobody is identified whose token jose does not verify, as the same subject',
    fc.tuple(jws(header, claims), spoilt),
    async ([{ head, body, by }, harm]) => {
      const whole = await signed(head, body, by);
      const token = harm ? spoil(whole, harm) : whole;
      const facts = requestWith({ authorization: `Bearer ${token}` });
      const outcome = await corp.authenticate(facts, { kind: 'bearer', token }, never);
      if (outcome.kind !== 'identified') return;
      const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), {
        issuer: ISSUER,
        algorithms: ['RS256', 'ES256'],
        currentDate: new Date(NOW_MS),
        requiredClaims: ['exp'],
      });
      assert.equal(outcome.user.subject, payload.sub);
      assert.equal(outcome.user.boundTo, (payload['cnf'] as { jkt?: string } | undefined)?.jkt);
    },
  ),
  target(
    'jwt-text',
    'any text in place of a token is refused or not ours',
    near([await signed(header, claims, 'ours'), await signed(header, claims, 'stranger'), 'a.b.c']),
    async (token) => {
      const facts = requestWith({ authorization: `Bearer ${token}` });
      const outcome = await corp.authenticate(facts, { kind: 'bearer', token }, never);
      if (outcome.kind !== 'identified') return;
      const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), { currentDate: new Date(NOW_MS) });
      assert.equal(outcome.user.subject, payload.sub);
    },
  ),
  target(
    'dpop-proof',
    'a proof that is right is one that jose verifies with the key inside it, for this token, method and URL',
    fc.tuple(jws(proofHeader, proofClaims), spoilt),
    async ([{ head, body, by }, harm]) => {
      const whole = await signed(head, body, by);
      const proof = harm ? spoil(whole, harm) : whole;
      const demand = { method: 'POST', url: URL_OF, token: TOKEN, boundTo: thumbprint, nowMs: NOW_MS };
      const found = await judge(proof, demand);
      if (found.kind === 'wrong') return;
      const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
        typ: 'dpop+jwt',
        currentDate: new Date(NOW_MS),
      });
      assert.equal(await calculateJwkThumbprint(protectedHeader.jwk as JWK), thumbprint);
      assert.equal(payload['htm'], 'POST');
      assert.equal(payload['ath'], proofClaims.ath);
      assert.equal(new URL(payload['htu'] as string).host, 'mcp.example.com');
    },
  ),
  target(
    'dpop-url',
    'normalising twice changes nothing, and never moves to another host',
    fc.oneof(near([URL_OF, 'https://MCP.example.com:443/%6dcp/../a?x#y', 'http://[::1]:80/']), anyText),
    (text) => {
      const once = normalUrl(text);
      if (once !== undefined) {
        assert.equal(normalUrl(once), once);
        assert.equal(new URL(once).origin, new URL(text).origin);
      }
      const seen = externalUrl('https://mcp.example.com', text);
      if (seen !== undefined) assert.equal(new URL(seen).origin, 'https://mcp.example.com');
    },
  ),
];
