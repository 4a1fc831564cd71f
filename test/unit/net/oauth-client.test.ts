import assert from 'node:assert/strict';
import { generateKeyPairSync, verify } from 'node:crypto';
import { describe, test } from 'node:test';
import { Secret } from '../../../src/core/secret.ts';
import { createOAuthClient, type OAuthClientConfig } from '../../../src/net/oauth-client.ts';

const server = { issuer: 'https://idp.example.com' };

async function sentBy(config: OAuthClientConfig): Promise<{ headers: Headers; body: URLSearchParams }> {
  const { client, authenticate } = createOAuthClient(config);
  const [headers, body] = [new Headers(), new URLSearchParams()];
  await authenticate(server, client, body, headers);
  return { headers, body };
}

const secret = new Secret('s3cret/+ %:ü');

describe('client authentication', () => {
  test('client_secret_basic: form-encoded (RFC 6749 2.3.1), but ids that need no encoding go as they are', async () => {
    const { headers, body } = await sentBy({
      clientAuth: 'client_secret_basic',
      clientId: 'my-app_1.example',
      clientSecret: secret,
    });
    const [scheme, credentials] = (headers.get('authorization') ?? '').split(' ');
    assert.equal(scheme, 'Basic');
    assert.equal(atob(credentials ?? ''), 'my-app_1.example:s3cret%2F%2B+%25%3A%C3%BC');
    assert.equal(body.toString(), '');
  });

  test('client_secret_post', async () => {
    const { headers, body } = await sentBy({ clientAuth: 'client_secret_post', clientId: 'app', clientSecret: secret });
    assert.equal(headers.get('authorization'), null);
    assert.deepEqual(Object.fromEntries(body), { client_id: 'app', client_secret: 's3cret/+ %:ü' });
  });

  test('none', async () => {
    const { headers, body } = await sentBy({ clientAuth: 'none', clientId: 'app' });
    assert.equal(headers.get('authorization'), null);
    assert.deepEqual(Object.fromEntries(body), { client_id: 'app' });
  });

  const keys = [
    ['RS256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['ES384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['Ed25519', generateKeyPairSync('ed25519')],
  ] as const;
  for (const [alg, { privateKey, publicKey }] of keys) {
    test(`private_key_jwt with ${alg}: a short-lived assertion for this server`, async () => {
      const pem = new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
      const { body } = await sentBy({ clientAuth: 'private_key_jwt', clientId: 'app', privateKey: pem });
      const named = await sentBy({
        clientAuth: 'private_key_jwt',
        clientId: 'app',
        privateKey: pem,
        privateKeyId: '2026-11',
      });
      assert.equal(body.get('client_assertion_type'), 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
      const [header = '', payload = '', signature = ''] = (body.get('client_assertion') ?? '').split('.');
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
      assert.deepEqual(JSON.parse(Buffer.from(header, 'base64url').toString()), { alg });
      const [namedHeader = ''] = (named.body.get('client_assertion') ?? '').split('.');
      assert.deepEqual(JSON.parse(Buffer.from(namedHeader, 'base64url').toString()), { alg, kid: '2026-11' });
      assert.deepEqual([claims.iss, claims.sub, claims.aud], ['app', 'app', server.issuer]);
      assert.ok(claims.exp - claims.iat <= 60);
      const hash = alg === 'Ed25519' ? null : alg === 'ES384' ? 'sha384' : 'sha256';
      const key = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const;
      assert.ok(verify(hash, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url')));
    });
  }

  test('what it cannot work with is said without the secret', () => {
    const make = (config: OAuthClientConfig) => () => createOAuthClient(config);
    assert.throws(make({ clientAuth: 'client_secret_basic', clientId: 'app' }), {
      message: 'clientAuth client_secret_basic needs a clientSecret',
    });
    assert.throws(make({ clientAuth: 'private_key_jwt', clientId: 'app' }), {
      message: 'clientAuth private_key_jwt needs a privateKey',
    });
    const garbage = make({
      clientAuth: 'private_key_jwt',
      clientId: 'app',
      privateKey: new Secret('-----BEGIN PRIVATE KEY-----\nxyz'),
    });
    assert.throws(garbage, { message: 'the privateKey is not a private key in PKCS#8 PEM' });
    const x25519 = generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    assert.throws(
      make({ clientAuth: 'private_key_jwt', clientId: 'app', privateKey: new Secret(x25519) }),
      /must be RSA/,
    );
  });
});
