import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { ClientMetadata } from 'oidc-provider';
import { startIdentityProvider } from '../../demo/identity-provider.ts';
import { signIn } from '../../demo/sign-in.ts';
import type { Running } from '../../demo/web-server.ts';
import { createEgress } from '../../src/net/egress.ts';
import { createProvider } from '../../src/upstream/provider.ts';
import { upstreamProviderSchema } from '../../src/upstream/schema.ts';
import { testTools } from '../support/vault-tools.ts';
import { providerConfig } from '../unit/upstream/support.ts';

const REDIRECT_URI = 'http://127.0.0.1:33999/connect/callback/idp';
const VERIFIER = 'v'.repeat(43);

const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
const jwk = (key: KeyObject, kid: string) => ({ ...key.export({ format: 'jwk' }), kid, use: 'sig' });

describe('private_key_jwt at a whole OpenID provider that knows two keys of the client', () => {
  const [older, newer] = [
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ];
  let idp: Running;

  before(async () => {
    const client: ClientMetadata = {
      client_id: 'mcp-identity',
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: { keys: [jwk(older.publicKey, 'older'), jwk(newer.publicKey, 'newer')] },
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code', 'refresh_token'],
    };
    idp = await startIdentityProvider({ port: 0, clients: [client] });
  });
  after(() => idp?.stop());

  const providerWith = (privateKeyId: string | undefined) => {
    const tools = testTools();
    const egress = createEgress({ log: tools.log, metrics: tools.metrics });
    const config = providerConfig({
      issuer: idp.url,
      clientId: 'mcp-identity',
      clientSecret: undefined,
      clientAuth: 'private_key_jwt',
      privateKey: pem(newer.privateKey),
      ...(privateKeyId !== undefined && { privateKeyId }),
      scopes: ['openid'],
    });
    return createProvider('idp', config, tools, egress);
  };
  const exchangeWith = async (privateKeyId: string | undefined) => {
    const provider = providerWith(privateKeyId);
    const signal = AbortSignal.timeout(10_000);
    const input = { redirectUri: REDIRECT_URI, codeVerifier: VERIFIER };
    const asked = await provider.authorizationUrl({ ...input, state: 's' }, signal);
    assert.ok(asked.kind === 'url');
    const { searchParams: params } = await signIn(new URL(asked.url), 'alice', REDIRECT_URI);
    return { provider, signal, outcome: await provider.exchangeCode({ ...input, params, expectedState: 's' }, signal) };
  };

  it('the key it names is the one it signs with: code, refresh and revocation are accepted', async () => {
    const { provider, signal, outcome } = await exchangeWith('newer');
    assert.ok(outcome.kind === 'granted', JSON.stringify(outcome));
    const refreshed = await provider.refresh(outcome.content, signal);
    assert.ok(refreshed.kind === 'refreshed', JSON.stringify(refreshed));
    assert.deepEqual(await provider.revoke(refreshed.content, signal), { kind: 'revoked' });
    assert.deepEqual(await provider.refresh(refreshed.content, signal), { kind: 'dead' });
  });

  it('under the name of another key it is not believed, and the log can say that it is the client', async () => {
    const { outcome } = await exchangeWith('older');
    assert.deepEqual([outcome.kind, 'fault' in outcome && outcome.fault], ['failed', 'client_rejected']);
  });

  it('a key id with another way of authentication is a mistake', () => {
    const wrong = upstreamProviderSchema.safeParse({
      issuer: idp.url,
      clientId: 'c',
      clientAuth: 'none',
      privateKeyId: 'k',
    });
    assert.deepEqual(
      wrong.error?.issues.map(({ path, message }) => [path.join('.'), message]),
      [['privateKeyId', 'is of no use with clientAuth none']],
    );
  });
});
