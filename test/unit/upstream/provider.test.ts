import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import type { Provider } from '../../../src/upstream/provider.ts';
import { type FakeProvider, startProvider } from '../../support/provider.ts';
import { bounded, testTools } from '../authn/support.ts';
import { providerFor } from './support.ts';

const redirectUri = 'https://mcp.example.com/connect/callback/github';
const codeVerifier = 'v'.repeat(43);
const state = 'st4te';

describe('provider', { timeout: 30_000 }, () => {
  let fake: FakeProvider;
  beforeEach(async () => {
    fake = await startProvider({ path: '/realms/a' });
  });
  afterEach(() => fake.stop());

  const explicit = () => ({
    issuer: undefined,
    authorizationEndpoint: fake.authorizationEndpoint,
    tokenEndpoint: fake.tokenEndpoint,
  });
  const callback = (change: Record<string, string | null> = {}) => {
    const params = new URLSearchParams({ code: fake.code('alice'), state, iss: fake.issuer });
    for (const [name, value] of Object.entries(change)) {
      if (value === null) params.delete(name);
      else params.set(name, value);
    }
    return params;
  };
  const exchange = (provider: Provider, params = callback()) =>
    provider.exchangeCode({ params, redirectUri, codeVerifier, expectedState: state }, bounded());
  const refresh = (provider: Provider, content = fake.issue('alice')) => provider.refresh(content, bounded());

  describe('the way to the provider', () => {
    test('code flow, PKCE S256, state, scopes, resource; parameters of the configuration beside them', async () => {
      const provider = providerFor(fake, {
        scopes: ['repo', 'read:user'],
        resource: 'https://api.example.com/',
        authorizeParams: { access_type: 'offline', prompt: 'consent' },
      });
      const outcome = await provider.authorizationUrl({ redirectUri, state, codeVerifier }, bounded());
      assert.ok(outcome.kind === 'url');
      const url = new URL(outcome.url);
      assert.equal(url.origin + url.pathname, fake.authorizationEndpoint);
      assert.deepEqual(Object.fromEntries(url.searchParams), {
        access_type: 'offline',
        prompt: 'consent',
        response_type: 'code',
        client_id: 'client',
        redirect_uri: redirectUri,
        scope: 'repo read:user',
        state,
        code_challenge: createHash('sha256').update(codeVerifier).digest('base64url'),
        code_challenge_method: 'S256',
        resource: 'https://api.example.com/',
      });
    });

    test('a query that the endpoint has already is kept (RFC 6749 3.1)', async () => {
      const provider = providerFor(fake, {
        ...explicit(),
        authorizationEndpoint: `${fake.authorizationEndpoint}?tenant=t&state=old`,
      });
      const outcome = await provider.authorizationUrl({ redirectUri, state, codeVerifier }, bounded());
      assert.ok(outcome.kind === 'url');
      const { searchParams } = new URL(outcome.url);
      assert.equal(searchParams.get('tenant'), 't');
      assert.deepEqual(searchParams.getAll('state'), [state]);
    });

    for (const name of ['state', 'redirect_uri', 'code_challenge', 'response_mode', 'request_uri']) {
      test(`authorizeParams must not set ${name}`, () => {
        const message = `upstreamProviders.github.authorizeParams must not set ${name}`;
        assert.throws(() => providerFor(fake, { authorizeParams: { [name]: 'x' } }), { message });
      });
    }

    test('explicit endpoints need no metadata document', async () => {
      fake.documents = false;
      const provider = providerFor(fake, explicit());
      assert.equal(provider.supportsRevocation, false);
      assert.equal((await refresh(provider)).kind, 'refreshed');
      assert.deepEqual(
        fake.requests.map(({ path }) => path),
        ['/realms/a/token'],
      );
    });

    test('an explicit endpoint wins over the document', async () => {
      const provider = providerFor(fake, { revocationEndpoint: 'http://127.0.0.1:1/revoke' });
      await provider.prepare(bounded());
      assert.equal(provider.supportsRevocation, true);
      assert.equal((await provider.revoke(fake.issue('alice'), bounded())).kind, 'failed');
    });

    test('the document is read once, and outlives an outage', async () => {
      const tools = testTools(Date.now());
      const provider = providerFor(fake, {}, tools);
      assert.equal(provider.supportsRevocation, undefined);
      await Promise.all([refresh(provider), refresh(provider)]);
      fake.documents = false;
      tools.time.nowMs += 2 * 3_600_000;
      assert.equal((await refresh(provider)).kind, 'refreshed');
      const documents = fake.requests.filter(({ path }) => path.includes('.well-known'));
      assert.ok(documents.length >= 1 && documents.length <= 3, String(documents.length));
    });

    test('a failing discovery is not repeated with every call', async () => {
      fake.documents = false;
      const tools = testTools(Date.now());
      const provider = providerFor(fake, {}, tools);
      for (let i = 0; i < 5; i++) assert.deepEqual(await refresh(provider), { kind: 'failed', fault: 'malformed' });
      assert.equal(fake.requests.length, 2, 'OpenID Connect, then RFC 8414');
      fake.documents = true;
      tools.time.nowMs += 1_000;
      assert.equal((await refresh(provider)).kind, 'refreshed');
    });

    test('a browser is not sent to an authorization endpoint without TLS', async () => {
      fake.metadata = { authorization_endpoint: 'http://idp.example.com/authorize' };
      const outcome = await providerFor(fake).authorizationUrl({ redirectUri, state, codeVerifier }, bounded());
      assert.deepEqual(outcome, { kind: 'failed', fault: 'malformed' });
    });
  });

  describe('the way back', () => {
    test('code for tokens: verifier, redirect URI, resource and client authentication are sent', async () => {
      const provider = providerFor(fake, { scopes: ['repo'], resource: 'https://api.example.com/' });
      const outcome = await exchange(provider);
      assert.ok(outcome.kind === 'granted', inspect(outcome));
      const { content } = outcome;
      assert.equal(fake.userOf(content.accessToken.reveal()), 'alice');
      assert.ok(content.refreshToken);
      assert.deepEqual([content.scopes, content.requestedScopes], [['repo'], ['repo']]);
      assert.equal((content.expiresAtMs ?? 0) - content.issuedAtMs, 3_600_000);
      assert.equal(content.connectedAtMs, content.issuedAtMs);
      const [request] = fake.tokenRequests();
      assert.equal(request?.headers.authorization, `Basic ${btoa('client:s3cret')}`);
      const { code, ...sent } = Object.fromEntries(request?.params ?? []);
      assert.ok(code);
      assert.deepEqual(sent, {
        grant_type: 'authorization_code',
        code_verifier: codeVerifier,
        redirect_uri: redirectUri,
        resource: 'https://api.example.com/',
      });
      assert.ok(!inspect(outcome, { depth: 9 }).includes(content.accessToken.reveal()));
    });

    const refused: readonly (readonly [string, Record<string, string | null>])[] = [
      ['another state', { state: 'other' }],
      ['no state', { state: null }],
      ['the issuer of somebody else (RFC 9207)', { iss: 'https://evil.example.com' }],
      ['no issuer, where the server announces it', { iss: null }],
      ['no code', { code: null }],
    ];
    for (const [name, change] of refused) {
      test(`refused: ${name}`, async () => {
        const outcome = await exchange(providerFor(fake), callback(change));
        assert.equal(outcome.kind, 'failed');
        assert.ok(outcome.kind === 'failed' && ['callback_invalid', 'malformed'].includes(outcome.fault));
        assert.equal(fake.tokenRequests().length, 0, 'nothing was asked');
      });
    }

    test('without an issuer in the configuration there is none to compare', async () => {
      assert.equal((await exchange(providerFor(fake, explicit()))).kind, 'granted');
    });

    test('the person says no', async () => {
      const outcome = await exchange(
        providerFor(fake),
        callback({ code: null, error: 'access_denied', error_description: '<b>no' }),
      );
      assert.deepEqual(outcome, { kind: 'denied', error: 'access_denied' });
    });

    test('a word that the provider made up does not go on', async () => {
      const outcome = await exchange(providerFor(fake), callback({ code: null, error: 'haha<script>' }));
      assert.deepEqual(outcome, { kind: 'denied', error: 'access_denied' });
    });

    test('a code that was used before', async () => {
      const params = callback();
      const provider = providerFor(fake);
      await exchange(provider, params);
      assert.deepEqual(await exchange(provider, params), {
        kind: 'failed',
        fault: 'code_rejected',
        error: 'invalid_grant',
      });
    });

    test('an ID token that cannot be checked does no harm: nothing relies on it', async () => {
      fake.answer = (members) => ({ body: JSON.stringify({ ...members, id_token: 'not.a.jwt' }) });
      assert.equal((await exchange(providerFor(fake))).kind, 'granted');
    });
  });
});
