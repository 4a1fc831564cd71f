import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { SignJWT } from 'jose';
import {
  AssertionRefused,
  createVerifier,
  type RefusalCode,
  type VerifierOptions,
} from '../../../src/verify/verifier.ts';

const ISSUER = 'https://mcp.example.com';
const RESOURCE = 'https://mcp.example.com/ledger/mcp';
const NOW_MS = 1_800_000_000_000;
const NOW = NOW_MS / 1000;
const BODY = Buffer.from('{"jsonrpc":"2.0"}');
const sha256 = (body: Buffer | string) => createHash('sha256').update(body).digest('base64url');
const CLAIMS = {
  iss: ISSUER,
  aud: 'ledger',
  sub: 'alice',
  iat: NOW,
  exp: NOW + 60,
  jti: 'j1',
  htm: 'POST',
  htu: RESOURCE,
  body_sha256: sha256(BODY),
  id: 'alice',
};
const POST = { method: 'POST', body: BODY };
const SECRET = randomBytes(32);
const OTHER_SECRET = randomBytes(32);

type Key = KeyObject | Uint8Array;
/** Claims set to undefined are left out. */
const sign = (
  key: Key,
  claims: Readonly<Record<string, unknown>> = {},
  header: { alg: string; kid?: string; [name: string]: unknown } = { alg: 'HS256', kid: 'h1' },
) => new SignJWT({ ...CLAIMS, ...claims }).setProtectedHeader({ typ: 'JWT', ...header }).sign(key);
const refuses = async (attempt: Promise<unknown>, code: RefusalCode) => {
  await assert.rejects(attempt, (error) => {
    assert.ok(error instanceof AssertionRefused, String(error));
    assert.equal(error.code, code);
    assert.equal(error.message, `assertion refused: ${code}`);
    return true;
  });
};
const hmac = (more: Partial<VerifierOptions> = {}) =>
  createVerifier({
    issuer: ISSUER,
    backend: 'ledger',
    resource: RESOURCE,
    key: SECRET.toString('base64url'),
    nowMs: () => NOW_MS,
    ...more,
  });

describe('claims', () => {
  test('all of them are handed out', async () => {
    assert.deepEqual(await hmac().verify(await sign(SECRET), POST), CLAIMS);
  });

  const refusals: [string, claims: Record<string, unknown>, RefusalCode][] = [
    ['another issuer', { iss: 'https://evil.example.com' }, 'issuer_mismatch'],
    ['another backend', { aud: 'wiki' }, 'backend_mismatch'],
    ['several backends', { aud: ['ledger', 'wiki'] }, 'claims_incomplete'],
    ['late', { iat: NOW - 70, exp: NOW - 6 }, 'expired'],
    ['too early', { iat: NOW + 6, exp: NOW + 66 }, 'not_yet_valid'],
    ['nbf', { nbf: NOW + 6 }, 'not_yet_valid'],
    ['another method', { htm: 'GET' }, 'method_mismatch'],
    ['another resource', { htu: `${RESOURCE}/x` }, 'resource_mismatch'],
    ['no resource', { htu: undefined }, 'resource_mismatch'],
    ['another body', { body_sha256: sha256('x') }, 'body_mismatch'],
    ['a body hash that is none', { body_sha256: 5 }, 'claims_incomplete'],
    ['an empty subject', { sub: '' }, 'claims_incomplete'],
    ['exp as text', { exp: '1' }, 'claims_incomplete'],
    ...['iss', 'aud', 'sub', 'iat', 'exp', 'jti', 'htm'].map(
      (claim): [string, Record<string, unknown>, RefusalCode] => [
        `without ${claim}`,
        { [claim]: undefined },
        'claims_incomplete',
      ],
    ),
  ];
  for (const [name, claims, code] of refusals)
    test(name, async () => refuses(hmac().verify(await sign(SECRET, claims), POST), code));

  test('clocks may differ by 5 s, or as much as is said', async () => {
    const late = { iat: NOW - 64, exp: NOW - 4 };
    await hmac().verify(await sign(SECRET, late), POST);
    await refuses(hmac({ toleranceSeconds: 0 }).verify(await sign(SECRET, late), POST), 'expired');
    await hmac().verify(await sign(SECRET, { iat: NOW + 4 }), POST);
    await refuses(hmac({ toleranceSeconds: 0 }).verify(await sign(SECRET, { iat: NOW + 4 }), POST), 'not_yet_valid');
  });

  test('without a resource any will do', async () => {
    const { resource: _, ...options } = { issuer: ISSUER, backend: 'ledger', key: SECRET, resource: '' };
    const verifier = createVerifier({ ...options, nowMs: () => NOW_MS });
    assert.equal((await verifier.verify(await sign(SECRET, { htu: undefined }), POST)).htu, undefined);
  });
});

describe('the body', () => {
  const uncovered = { body_sha256: undefined };
  test('covered: it has to be handed over and be the same, as bytes or text', async () => {
    const assertion = await sign(SECRET);
    await hmac().verify(assertion, { method: 'POST', body: BODY.toString() });
    await refuses(hmac().verify(assertion, { method: 'POST' }), 'body_mismatch');
    await refuses(hmac().verify(assertion, { method: 'POST', body: '' }), 'body_mismatch');
    await refuses(hmac().verify(assertion, { method: 'POST', body: `${BODY.toString()} ` }), 'body_mismatch');
  });
  test('ignored', async () => {
    await hmac({ body: 'ignored' }).verify(await sign(SECRET), { method: 'POST' });
  });
  test('not covered: passes unless it is required', async () => {
    await hmac().verify(await sign(SECRET, uncovered), POST);
    const strict = hmac({ body: 'required' });
    await refuses(strict.verify(await sign(SECRET, uncovered), POST), 'body_not_covered');
    await refuses(strict.verify(await sign(SECRET, uncovered), { method: 'POST' }), 'body_not_covered');
    await strict.verify(await sign(SECRET, uncovered), { method: 'POST', body: '' });
    await strict.verify(await sign(SECRET, { ...uncovered, htm: 'GET' }), { method: 'GET' });
    await strict.verify(await sign(SECRET), POST);
  });
});

describe('where the assertion stands', () => {
  test('headers of Node and of fetch', async () => {
    const assertion = await sign(SECRET);
    await hmac().verify({ 'x-forwarded-user-assertion': assertion, get: 'a header of that name' }, POST);
    await hmac().verify(new Headers({ 'X-Forwarded-User-Assertion': assertion }), POST);
    await hmac({ header: 'X-Who-Assertion' }).verify({ 'x-who-assertion': assertion }, POST);
  });
  test('none, and more than one', async () => {
    const assertion = await sign(SECRET);
    await refuses(hmac().verify({}, POST), 'assertion_missing');
    await refuses(hmac().verify(new Headers(), POST), 'assertion_missing');
    await refuses(hmac().verify('', POST), 'assertion_missing');
    for (const value of [[assertion, assertion], [assertion], `${assertion}, ${assertion}`])
      await refuses(hmac().verify({ 'x-forwarded-user-assertion': value }, POST), 'assertion_malformed');
  });
  test('no JWS', async () => {
    for (const text of ['x', 'a.b', 'a.b.c', 'a.b.c.d', '..', 'e30.e30.', '{}'])
      await refuses(hmac().verify(text, POST), 'assertion_malformed');
  });
});

describe('keys of a backend', () => {
  test('another key, another algorithm, none', async () => {
    await refuses(hmac().verify(await sign(OTHER_SECRET), POST), 'signature_wrong');
    await refuses(hmac().verify(await sign(randomBytes(64), {}, { alg: 'HS512' }), POST), 'alg_not_allowed');
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await sign(SECRET)).split('.')[1]}.`;
    await refuses(hmac().verify(none, POST), 'alg_not_allowed');
  });
  test('several while they change', async () => {
    const both = hmac({ key: [SECRET, OTHER_SECRET.toString('base64url')] });
    await both.verify(await sign(SECRET), POST);
    await both.verify(await sign(OTHER_SECRET), POST);
    await refuses(both.verify(await sign(randomBytes(32)), POST), 'signature_wrong');
    await refuses(both.verify(await sign(OTHER_SECRET, { aud: 'wiki' }), POST), 'backend_mismatch');
  });
  test('every single changed field breaks the signature', async () => {
    const [header, payload, signature] = (await sign(SECRET)).split('.') as [string, string, string];
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
    for (const field of [...Object.keys(claims), 'added']) {
      const value = typeof claims[field] === 'number' ? claims[field] + 1 : 'x';
      const changed = Buffer.from(JSON.stringify({ ...claims, [field]: value })).toString('base64url');
      await refuses(hmac().verify(`${header}.${changed}.${signature}`, POST), 'signature_wrong');
    }
    const otherHeader = Buffer.from('{"alg":"HS256","kid":"h2","typ":"JWT"}').toString('base64url');
    await refuses(hmac().verify(`${otherHeader}.${payload}.${signature}`, POST), 'signature_wrong');
  });
});

describe('replay', () => {
  test('refused by memory, until the assertion has expired anyway', async () => {
    let nowMs = NOW_MS;
    const verifier = hmac({ replay: 'refuse', nowMs: () => nowMs });
    const assertion = await sign(SECRET);
    await verifier.verify(assertion, POST);
    await refuses(verifier.verify(assertion, POST), 'replayed');
    await verifier.verify(await sign(SECRET, { jti: 'j2' }), POST);
    nowMs += 64_000;
    await refuses(verifier.verify(assertion, POST), 'replayed');
    nowMs += 2_000;
    await refuses(verifier.verify(assertion, POST), 'expired');
  });
  test('what was refused for another reason is not used up', async () => {
    const verifier = hmac({ replay: 'refuse' });
    const assertion = await sign(SECRET);
    await refuses(verifier.verify(assertion, { method: 'GET', body: BODY }), 'method_mismatch');
    await verifier.verify(assertion, POST);
  });
  test('by a store of one’s own', async () => {
    const asked: unknown[] = [];
    const verifier = hmac({
      replay: async (jti, expires) => {
        asked.push([jti, expires]);
        return asked.length === 1;
      },
    });
    await verifier.verify(await sign(SECRET), POST);
    await refuses(verifier.verify(await sign(SECRET), POST), 'replayed');
    assert.deepEqual(asked[0], ['j1', NOW + 60]);
  });
  test('allowed by default', async () => {
    const verifier = hmac();
    const assertion = await sign(SECRET);
    await verifier.verify(assertion, POST);
    await verifier.verify(assertion, POST);
  });
});

test('options that make no sense', () => {
  const base = { issuer: ISSUER, backend: 'ledger' };
  for (const options of [
    {},
    { key: SECRET, jwksUri: 'https://x.example.com/' },
    { key: '' },
    { key: 'short' },
    { key: [] },
    { key: randomBytes(31) },
    { key: SECRET.toString('hex') },
    { jwksUri: 'x' },
    { jwksUri: 'http://mcp.example.com/jwks.json' },
    { jwksUri: 'file:///etc/keys' },
  ])
    assert.throws(() => createVerifier({ ...base, ...options }), TypeError, JSON.stringify(options));
  createVerifier({ ...base, jwksUri: 'http://mcp.example.com/jwks.json', allowHttp: true });
  createVerifier({ ...base, jwksUri: 'http://127.0.0.1:1/jwks.json' });
});

describe('published keys', () => {
  const pair = (alg: string) =>
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : alg === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const keys = ['ES256', 'EdDSA', 'RS256'].map((alg) => ({ alg, kid: randomUUID(), ...pair(alg) }));
  const [es] = keys as [(typeof keys)[0]];
  const jwk = ({ alg, kid, publicKey }: typeof es) => ({
    ...publicKey.export({ format: 'jwk' }),
    alg,
    kid,
    use: 'sig',
  });
  let server: Server;
  let jwksUri: string;
  let published: object[] = [];
  let status = 200;
  let fetched = 0;
  const verifier = (more: Partial<VerifierOptions> = {}) =>
    createVerifier({ issuer: ISSUER, backend: 'ledger', jwksUri, nowMs: () => NOW_MS, ...more });
  const signed = (key: typeof es, claims = {}) => sign(key.privateKey, claims, { alg: key.alg, kid: key.kid });

  before(async () => {
    server = createServer((_request, response) => {
      fetched++;
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: published }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  });
  after(() => server.close());
  beforeEach(() => {
    published = keys.map(jwk);
    status = 200;
    fetched = 0;
  });

  test('every algorithm, and one fetch for all', async () => {
    const { verify } = verifier();
    for (const key of keys) await verify(await signed(key), POST);
    assert.equal(fetched, 1);
  });

  test('another key under a known name, an unknown name, another algorithm than the key’s', async () => {
    const { verify } = verifier();
    const wrong = pair('ES256').privateKey;
    await refuses(verify(await sign(wrong, {}, { alg: 'ES256', kid: es.kid }), POST), 'signature_wrong');
    await refuses(verify(await sign(wrong, {}, { alg: 'ES256', kid: 'retired' }), POST), 'key_unknown');
    await refuses(verify(await sign(keys[2]!.privateKey, {}, { alg: 'RS256', kid: es.kid }), POST), 'key_unknown');
    await refuses(
      verify(await sign(keys[2]!.privateKey, {}, { alg: 'PS256', kid: keys[2]!.kid }), POST),
      'alg_not_allowed',
    );
    const pem = Buffer.from(es.publicKey.export({ type: 'spki', format: 'pem' }));
    await refuses(verify(await sign(pem, {}, { alg: 'HS256', kid: es.kid }), POST), 'alg_not_allowed');
    assert.equal(fetched, 1, 'names that somebody made up cause no fetch within the cool-down');
  });

  test('a new key is fetched when it is first seen; a retired one is refused', async () => {
    published = [jwk(es)];
    const { verify } = verifier({ cooldownSeconds: 0 });
    await verify(await signed(es), POST);
    published = [jwk(keys[1]!)];
    await verify(await signed(keys[1]!), POST);
    assert.equal(fetched, 2);
    await refuses(verify(await signed(es), POST), 'key_unknown');
  });

  test('keys go on while they cannot be fetched again, but not for ever', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: NOW_MS });
    const { verify } = verifier();
    await verify(await signed(es), POST);
    status = 503;
    t.mock.timers.tick(601_000);
    await verify(await signed(es), POST);
    await verify(await signed(keys[1]!), POST);
    assert.equal(fetched, 2, 'the second waits for the cool-down');
    await refuses(verify(await sign(es.privateKey, {}, { alg: 'ES256', kid: 'new' }), POST), 'key_unknown');
    t.mock.timers.tick(3_700_000);
    await refuses(verify(await signed(es), POST), 'keys_unavailable');
    status = 200;
    await verify(await signed(es), POST);
  });

  test('an outage at first is no verdict', async () => {
    status = 503;
    await refuses(verifier().verify(await signed(es), POST), 'keys_unavailable');
  });
});
