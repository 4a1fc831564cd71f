import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import type { Provider } from '../../../src/upstream/provider.ts';
import { type FakeProvider, startProvider } from '../../support/provider.ts';
import { bounded, testTools } from '../authn/support.ts';
import { providerFor } from './support.ts';

describe('provider: tokens', { timeout: 30_000 }, () => {
  let fake: FakeProvider;
  beforeEach(async () => {
    fake = await startProvider({ path: '/realms/a' });
  });
  afterEach(() => fake.stop());

  const refresh = (provider: Provider, content = fake.issue('alice')) => provider.refresh(content, bounded());

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
