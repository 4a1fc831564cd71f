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

  describe('refresh', () => {
    test('the rotated token replaces the old one; what the user agreed to stays', async () => {
      const old = { ...fake.issue('alice', { scopes: ['repo'] }), stale: true };
      const outcome = await refresh(providerFor(fake, { scopes: ['repo', 'new'] }), old);
      assert.ok(outcome.kind === 'refreshed');
      const { content } = outcome;
      assert.notEqual(content.refreshToken?.reveal(), old.refreshToken?.reveal());
      assert.equal(fake.userOf(content.accessToken.reveal()), 'alice');
      assert.deepEqual(
        [content.scopes, content.requestedScopes, content.connectedAtMs, content.stale],
        [['repo'], ['repo'], old.connectedAtMs, undefined],
      );
      assert.equal(content.refreshedAtMs, content.issuedAtMs);
    });

    test('no new refresh token: the old one stays (RFC 6749 6)', async () => {
      fake.answer = ({ refresh_token: _, ...members }) => ({ body: JSON.stringify(members) });
      const old = fake.issue('alice');
      const outcome = await refresh(providerFor(fake), old);
      assert.equal(outcome.kind === 'refreshed' && outcome.content.refreshToken?.reveal(), old.refreshToken?.reveal());
    });

    test('nothing is said of the end: it is unknown, also when it was known before', async () => {
      const old = fake.issue('alice');
      fake.lifetimeSeconds = undefined;
      const outcome = await refresh(providerFor(fake), old);
      assert.ok(outcome.kind === 'refreshed');
      assert.ok(!('expiresAtMs' in outcome.content));
    });

    const trouble: readonly (readonly [string, FakeProvider['trouble'], object])[] = [
      ['invalid_grant', { status: 400, error: 'invalid_grant' }, { kind: 'dead' }],
      [
        'invalid_grant with 401 and a challenge',
        { status: 401, error: 'invalid_grant', headers: { 'www-authenticate': 'Basic realm="x"' } },
        { kind: 'dead' },
      ],
      [
        'invalid_grant behind a 503 of a gateway',
        { status: 503, error: 'invalid_grant' },
        { kind: 'failed', fault: 'server_error' },
      ],
      [
        'invalid_client',
        { status: 401, error: 'invalid_client', headers: { 'www-authenticate': 'Basic' } },
        { kind: 'failed', fault: 'client_rejected', error: 'invalid_client' },
      ],
      ['401 without a word', { status: 401 }, { kind: 'failed', fault: 'client_rejected', error: 'invalid_client' }],
      [
        'invalid_scope',
        { status: 400, error: 'invalid_scope' },
        { kind: 'failed', fault: 'rejected', error: 'invalid_scope' },
      ],
      ['an error nobody knows', { status: 400, error: 'oops secret' }, { kind: 'failed', fault: 'rejected' }],
      [
        'temporarily_unavailable',
        { status: 400, error: 'temporarily_unavailable' },
        { kind: 'failed', fault: 'server_error', error: 'temporarily_unavailable' },
      ],
      [
        '429',
        { status: 429, headers: { 'retry-after': '7' } },
        { kind: 'failed', fault: 'rate_limited', retryAfterSeconds: 7 },
      ],
      [
        '429 for a year',
        { status: 429, headers: { 'retry-after': '31536000' } },
        { kind: 'failed', fault: 'rate_limited', retryAfterSeconds: 600 },
      ],
      [
        '429 with garbage',
        { status: 429, headers: { 'retry-after': 'soon' } },
        { kind: 'failed', fault: 'rate_limited' },
      ],
      ['500', { status: 500 }, { kind: 'failed', fault: 'server_error' }],
      ['404', { status: 404 }, { kind: 'failed', fault: 'malformed' }],
      ['garbage', 'garbage', { kind: 'failed', fault: 'malformed' }],
      ['a redirect', 'redirect', { kind: 'failed', fault: 'malformed' }],
      ['no answer', 'hang', { kind: 'failed', fault: 'timeout' }],
      ['a hang-up', 'hang-up', { kind: 'failed', fault: 'network' }],
    ];
    for (const [name, how, expected] of trouble) {
      test(`${name}: ${inspect(expected)}`, async () => {
        fake.trouble = how;
        assert.deepEqual(await refresh(providerFor(fake)), expected);
      });
    }

    test('Retry-After as a date', async () => {
      fake.trouble = { status: 503, headers: { 'retry-after': new Date(Date.now() + 30_000).toUTCString() } };
      const outcome = await refresh(providerFor(fake));
      assert.ok(outcome.kind === 'failed' && outcome.retryAfterSeconds !== undefined);
      assert.ok(outcome.retryAfterSeconds >= 28 && outcome.retryAfterSeconds <= 31);
    });

    test('an abort of the caller is a timeout', async () => {
      fake.trouble = 'hang';
      const provider = providerFor(fake);
      assert.deepEqual(await provider.refresh(fake.issue('alice'), AbortSignal.timeout(50)), {
        kind: 'failed',
        fault: 'timeout',
      });
      assert.deepEqual(await providerFor(fake).refresh(fake.issue('alice'), AbortSignal.abort()), {
        kind: 'failed',
        fault: 'timeout',
      });
    });
  });

  describe('revoke', () => {
    test('the refresh token and the access token with it', async () => {
      const content = fake.issue('alice');
      assert.deepEqual(await providerFor(fake).revoke(content, bounded()), { kind: 'revoked' });
      assert.deepEqual(fake.revoked, [content.refreshToken?.reveal(), content.accessToken.reveal()]);
    });

    test('no endpoint', async () => {
      fake.metadata = { revocation_endpoint: undefined };
      assert.deepEqual(await providerFor(fake).revoke(fake.issue('alice'), bounded()), { kind: 'unsupported' });
    });
  });

  test('neither the log nor the metrics hold a token', async () => {
    const tools = testTools(Date.now());
    const provider = providerFor(fake, {}, tools);
    const content = fake.issue('alice');
    await refresh(provider, content);
    for (const how of ['garbage', 'hang-up', { status: 400, error: 'x' }] as const) {
      fake.trouble = how;
      await refresh(provider, content);
    }
    assert.doesNotMatch(inspect(tools.lines, { depth: 9 }), /at\.alice|rt\.alice|s3cret/);
  });
});
