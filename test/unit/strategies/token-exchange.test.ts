import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { ANONYMOUS, type User } from '../../../src/core/identity.ts';
import { Secret } from '../../../src/core/secret.ts';
import { createEgress } from '../../../src/net/egress.ts';
import { outgoingAuthSchema, type OutgoingAuthOf } from '../../../src/strategies/schema.ts';
import type { OutgoingStrategy, StrategyOutcome } from '../../../src/strategies/strategy.ts';
import { createTokenExchange, TokenExchanges } from '../../../src/strategies/token-exchange.ts';
import type { Refresher } from '../../../src/upstream/refresher.ts';
import { type TokenExchangeClientConfig, tokenExchangeClientSchema } from '../../../src/upstream/schema.ts';
import type { SecretRef } from '../../../src/core/secret.ts';
import { bounded, type TestTools, testTools } from '../authn/support.ts';
import {
  bearerOf,
  fakeRefresher,
  jwtWith,
  reasonOf,
  type Scripted,
  type ScriptedEndpoint,
  startEndpoint,
  userWith,
} from './world.ts';

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';

describe('token_exchange', () => {
  let endpoint: ScriptedEndpoint;
  let tools: TestTools;
  let exchanges: TokenExchanges;
  before(async () => {
    endpoint = await startEndpoint();
  });
  after(() => endpoint.stop());
  beforeEach(() => {
    endpoint.calls.length = 0;
    tools = testTools(Date.now());
    exchanges = new TokenExchanges(
      { hr: config(endpoint.url) },
      tools,
      createEgress({ log: tools.log, metrics: tools.metrics, timeoutMs: 500 }),
    );
    endpoint.answer = (_, call) => issued(`issued-${call}`);
  });

  const strategy = (block: Record<string, unknown> = {}, refresher?: Refresher): OutgoingStrategy =>
    createTokenExchange(policyOf(block), exchanges, refresher, tools);
  const get = async (strategyOf: OutgoingStrategy, user: User): Promise<StrategyOutcome> =>
    strategyOf.credential(user, bounded());
  const lastParams = () => Object.fromEntries(endpoint.calls.at(-1)!.params);

  describe('the request', () => {
    it('sends what the configuration lists for the audience of that name, and expects that in the answer', async () => {
      const url = 'https://hr.example.com/api';
      endpoint.answer = () => issued(jwtWith({ aud: url, exp: 4_000_000_000 }));
      assert.equal((await get(strategy({ audience: 'hr-url' }), userWith('alice'))).kind, 'write');
      assert.equal(lastParams()['audience'], url);
    });

    it('asks as RFC 8693 says, as the client of the configuration', async () => {
      const block = {
        audience: 'hr',
        resource: ['https://hr.example.com/', 'https://pay.example.com/'],
        scopes: ['a', 'b'],
      };
      await get(strategy({ ...block, requestedTokenType: ACCESS_TOKEN, subjectTokenType: JWT }), userWith('alice'));
      const { params, headers } = endpoint.calls[0]!;
      assert.deepEqual(
        [...params].toSorted(([a, b], [c, d]) => (`${a}=${b}` < `${c}=${d}` ? -1 : 1)),
        [
          ['audience', 'hr'],
          ['grant_type', 'urn:ietf:params:oauth:grant-type:token-exchange'],
          ['requested_token_type', ACCESS_TOKEN],
          ['resource', 'https://hr.example.com/'],
          ['resource', 'https://pay.example.com/'],
          ['scope', 'a b'],
          ['subject_token', 'token-of-alice'],
          ['subject_token_type', JWT],
        ],
      );
      assert.equal(headers.authorization, `Basic ${Buffer.from('gateway:s3cret').toString('base64')}`);
    });

    it('leaves out what the policy does not name', async () => {
      await get(strategy(), userWith('alice'));
      assert.deepEqual(Object.keys(lastParams()).sort(), ['grant_type', 'subject_token', 'subject_token_type']);
      assert.equal(lastParams()['subject_token_type'], ACCESS_TOKEN);
    });

    it('actor: self adds our own token, which is fetched once and kept', async () => {
      endpoint.answer = (params) =>
        params.get('grant_type') === 'client_credentials'
          ? { body: { access_token: 'ours', token_type: 'Bearer', expires_in: 300 } }
          : issued(`for-${params.get('subject_token')}`);
      const acting = strategy({ actor: 'self' });
      await Promise.all([get(acting, userWith('alice')), get(acting, userWith('bob'))]);
      const grants = endpoint.calls.map(({ params }) => params.get('grant_type'));
      assert.equal(grants.filter((grant) => grant === 'client_credentials').length, 1);
      assert.deepEqual([lastParams()['actor_token'], lastParams()['actor_token_type']], ['ours', ACCESS_TOKEN]);
      tools.time.nowMs += 280_000;
      await get(acting, userWith('carol'));
      assert.equal(endpoint.calls.filter(({ params }) => params.get('grant_type') === 'client_credentials').length, 2);
    });

    it('says which entry has a client that cannot prove itself', () => {
      const broken = {
        hr: { ...config(endpoint.url), clientAuth: 'private_key_jwt' as const, privateKey: new Secret('no key') },
      };
      const make = () => new TokenExchanges(broken as never, tools, createEgress(tools));
      assert.throws(make, { message: 'tokenExchanges.hr: the privateKey is not a private key in PKCS#8 PEM' });
    });
  });

  describe('who may', () => {
    it('anonymous callers and methods without a token have to sign in', async () => {
      assert.equal(reasonOf(await strategy().credential(ANONYMOUS, bounded())), 'login_required');
      assert.equal(reasonOf(await get(strategy(), userWith('bot', { token: null }))), 'login_required');
      assert.equal(endpoint.calls.length, 0);
    });
  });

  describe('what is kept', () => {
    it('100 calls of one user at once make one exchange', async () => {
      const exchange = strategy();
      const outcomes = await Promise.all(Array.from({ length: 100 }, () => get(exchange, userWith('alice'))));
      assert.equal(endpoint.calls.length, 1);
      assert.deepEqual(new Set(outcomes.map(bearerOf)), new Set(['Bearer issued-1']));
    });

    it('a kept token is there at once', async () => {
      const exchange = strategy();
      await get(exchange, userWith('alice'));
      const outcome = exchange.credential(userWith('alice'), bounded());
      assert.ok(!(outcome instanceof Promise));
      assert.equal(tools.metric('mcp_identity_credential_cache_hits_total{kind=token_exchange}'), 1);
      assert.equal(tools.metric('mcp_identity_token_exchanges_total{name=hr,outcome=issued}'), 1);
    });

    const base = { audience: 'hr', scopes: ['a'] };
    const otherwise: [string, Record<string, unknown>, User][] = [
      ['another user', base, userWith('bob', { token: 'token-of-alice' })],
      ['another issuer', base, { ...userWith('alice'), issuer: 'https://other.example.com' }],
      ['another method', base, { ...userWith('alice'), methodName: 'partner' }],
      ['another subject token', base, userWith('alice', { token: 'renewed' })],
      ['another audience', { ...base, audience: 'pay' }, userWith('alice')],
      ['no audience', { scopes: ['a'] }, userWith('alice')],
      ['a resource', { ...base, resource: 'https://hr.example.com/' }, userWith('alice')],
      ['an audience that is a resource', { resource: 'hr', scopes: ['a'] }, userWith('alice')],
      ['more scopes', { ...base, scopes: ['a', 'b'] }, userWith('alice')],
      ['scopes joined otherwise', { ...base, scopes: [] }, userWith('alice')],
      ['another subject token type', { ...base, subjectTokenType: JWT }, userWith('alice')],
      ['another requested type', { ...base, requestedTokenType: ACCESS_TOKEN }, userWith('alice')],
      ['another client', { ...base, exchange: 'second' }, userWith('alice')],
    ];
    for (const [what, block, user] of otherwise) {
      it(`${what} never shares it`, async () => {
        exchanges = new TokenExchanges(
          { hr: config(endpoint.url), second: { ...config(endpoint.url), clientId: 'second' } },
          tools,
          createEgress(tools),
        );
        const first = bearerOf(await get(strategy(base), userWith('alice')));
        assert.notEqual(bearerOf(await get(strategy(block), user)), first);
        assert.equal(endpoint.calls.length, 2);
        assert.equal(bearerOf(await get(strategy(base), userWith('alice'))), first, 'and the first one stays');
      });
    }

    it('until a fifth of a short life, or half a minute, before its end', async () => {
      for (const [expires_in, usedSeconds] of [
        [50, 40],
        [600, 570],
      ] as const) {
        endpoint.calls.length = 0;
        endpoint.answer = (_, call) => issued(`life-${expires_in}-${call}`, { expires_in });
        const exchange = strategy({ audience: String(expires_in) });
        await get(exchange, userWith('alice'));
        tools.time.nowMs += usedSeconds * 1_000 - 1;
        await get(exchange, userWith('alice'));
        assert.equal(endpoint.calls.length, 1);
        tools.time.nowMs += 1;
        await get(exchange, userWith('alice'));
        assert.equal(endpoint.calls.length, 2);
      }
    });

    it('without expires_in: by the exp of a JWT, else for a minute', async () => {
      const exchange = strategy();
      const nowSeconds = () => Math.floor(tools.time.nowMs / 1_000);
      for (const [token, usedSeconds] of [
        [jwtWith({ exp: nowSeconds() + 1_000 }), 960],
        ['opaque', 60],
      ] as const) {
        endpoint.calls.length = 0;
        endpoint.answer = () => issued(token, { expires_in: undefined });
        const user = userWith('alice', { token: `subject-${usedSeconds}` });
        await get(exchange, user);
        tools.time.nowMs += (usedSeconds - 1) * 1_000;
        await get(exchange, user);
        assert.equal(endpoint.calls.length, 1);
        tools.time.nowMs += 12_000;
        await get(exchange, user);
        assert.equal(endpoint.calls.length, 2);
      }
    });

    it('never beyond the end of the subject token, nor when the clock was set back', async () => {
      const exchange = strategy();
      const user = userWith('alice', { expiresAt: Math.floor(tools.time.nowMs / 1_000) + 10 });
      await get(exchange, user);
      tools.time.nowMs += 11_000;
      await get(exchange, user);
      assert.equal(endpoint.calls.length, 2);
      await get(exchange, userWith('bob'));
      tools.time.nowMs -= 60_000;
      await get(exchange, userWith('bob'));
      assert.equal(endpoint.calls.length, 4);
    });

    it('a backend’s 401 drops the token that it was given, and no newer one', async () => {
      const exchange = strategy();
      const first = await get(exchange, userWith('alice'));
      assert.ok(first.kind === 'write' && first.credential);
      const refused: unknown = JSON.parse(JSON.stringify(first.credential.invalidate));
      assert.doesNotMatch(JSON.stringify(refused), /issued-1|token-of-alice/);
      exchanges.invalidate({ strategy: 'upstream_inject', ...(refused as object), strategy2: 1 });
      exchanges.invalidate(undefined);
      exchanges.invalidate(refused);
      assert.equal(bearerOf(await get(exchange, userWith('alice'))), 'Bearer issued-2');
      exchanges.invalidate(refused);
      assert.equal(bearerOf(await get(exchange, userWith('alice'))), 'Bearer issued-2');
    });
  });

  it('whose tokens are refused again and again goes on with the last one, for longer and longer', async () => {
    const exchange = strategy();
    const refusedAgain = async (): Promise<number> => {
      const outcome = await get(exchange, userWith('alice'));
      assert.ok(outcome.kind === 'write');
      exchanges.invalidate(outcome.credential?.invalidate);
      await get(exchange, userWith('alice'));
      return endpoint.calls.length;
    };
    assert.equal(await refusedAgain(), 2);
    let calls = 2;
    for (const pauseMs of [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
      tools.time.nowMs += pauseMs - 1;
      assert.equal(await refusedAgain(), calls, `${pauseMs} ms`);
      tools.time.nowMs += 1;
      assert.equal(await refusedAgain(), ++calls, `${pauseMs} ms`);
    }
    tools.time.nowMs += 300_000;
    const calm = await refusedAgain();
    tools.time.nowMs += 5_000;
    assert.equal(await refusedAgain(), calm + 1, 'the pauses are short again');
  });

  describe('answers that are no token for the backend', () => {
    const aud = (...audiences: string[]) => jwtWith({ aud: audiences, exp: 4_000_000_000 });
    const cases: [string, Record<string, unknown>, Scripted, string][] = [
      ['no issued_token_type', {}, issued('x', { issued_token_type: undefined }), 'issued_token_type'],
      [
        'an ID token',
        {},
        issued('x', { issued_token_type: 'urn:ietf:params:oauth:token-type:id_token' }),
        'issued_token_type',
      ],
      ['another type than asked for', { requestedTokenType: JWT }, issued('x'), 'issued_token_type'],
      ['N_A', {}, issued('x', { token_type: 'N_A' }), 'token_type'],
      ['DPoP', {}, issued('x', { token_type: 'DPoP' }), 'token_type'],
      ['another token_type', {}, issued('x', { token_type: 'mac' }), 'malformed'],
      ['characters outside token68', {}, issued('a b'), 'token_malformed'],
      ['two credentials', {}, issued('a,b'), 'token_malformed'],
      ['a line break', {}, issued('a\r\nx-evil: 1'), 'token_malformed'],
      ['too many characters', {}, issued('x'.repeat(17_000)), 'token_malformed'],
      ['a JWT that is none', { requestedTokenType: JWT }, issued('x', { issued_token_type: JWT }), 'token_malformed'],
      ['the subject token itself', { audience: 'hr' }, issued('token-of-alice'), 'token_unchanged'],
      ['another audience', { audience: 'hr' }, issued(aud('account', 'pay')), 'token_audience'],
      ['no audience', { resource: 'https://hr.example.com/' }, issued(jwtWith({ sub: 'alice' })), 'token_audience'],
      ['no actor', { actor: 'self' }, issued(jwtWith({ sub: 'alice' })), 'token_without_actor'],
      ['a token that has ended', {}, issued(jwtWith({ exp: 1_000_000_000 })), 'token_expired'],
      ['expires_in 0', {}, issued('x', { expires_in: 0 }), 'token_expired'],
      ['an empty token', {}, issued(''), 'malformed'],
      ['a list', {}, { body: '[]' }, 'malformed'],
      ['no JSON', {}, { body: '<html>' }, 'malformed'],
      ['nothing', {}, { body: '{}' }, 'malformed'],
    ];
    for (const [what, block, answer, detail] of cases) {
      it(`${what}: 502 ${detail}`, async () => {
        endpoint.answer = (params) =>
          params.get('grant_type') === 'client_credentials'
            ? { body: { access_token: 'ours', token_type: 'Bearer' } }
            : answer;
        const outcome = await get(strategy(block), userWith('alice'));
        assert.ok(outcome.kind === 'refused');
        assert.deepEqual([outcome.refusal.reason, outcome.refusal.detail], ['exchange_answer_invalid', detail]);
      });
    }

    it('one of the places that were asked for is enough; further audiences do no harm', async () => {
      endpoint.answer = () => issued(aud('account', 'https://hr.example.com/'));
      assert.equal(
        reasonOf(await get(strategy({ audience: 'hr', resource: 'https://hr.example.com/' }), userWith('alice'))),
        'write',
      );
    });

    it('an ID token beside the access token is nobody’s business', async () => {
      endpoint.answer = () => issued('x', { id_token: 'not even a JWT' });
      assert.equal(bearerOf(await get(strategy(), userWith('alice'))), 'Bearer x');
    });
  });

  describe('errors', () => {
    const old = { iat: 1_000_000_000 };
    const cases: [string, Scripted | 'hang' | 'hang-up', string, boolean][] = [
      ['invalid_grant', oauth('invalid_grant'), 'subject_token_refused', true],
      ['invalid_request', oauth('invalid_request'), 'subject_token_refused', true],
      ['invalid_target', oauth('invalid_target'), 'exchange_refused', true],
      ['invalid_scope', oauth('invalid_scope'), 'exchange_refused', true],
      ['unauthorized_client', oauth('unauthorized_client'), 'exchange_refused', true],
      ['access_denied', oauth('access_denied', 403), 'exchange_refused', true],
      ['a word of its own', oauth('out_of_luck'), 'exchange_refused', true],
      ['invalid_client', oauth('invalid_client', 401), 'exchange_unavailable', true],
      [
        '401 with a challenge',
        { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' }, body: '' },
        'exchange_unavailable',
        true,
      ],
      ['temporarily_unavailable', oauth('temporarily_unavailable'), 'exchange_unavailable', false],
      ['500', { status: 500, body: { error: 'invalid_grant' } }, 'exchange_unavailable', false],
      ['503', { status: 503, body: '' }, 'exchange_unavailable', false],
      ['429', { status: 429, body: { error: 'invalid_grant' } }, 'exchange_unavailable', false],
      ['a hang-up', 'hang-up', 'exchange_unavailable', false],
      ['no answer', 'hang', 'exchange_unavailable', false],
      ['a redirect', { status: 302, headers: { location: '/elsewhere' }, body: '' }, 'exchange_answer_invalid', false],
    ];
    for (const [what, answer, reason, remembered] of cases) {
      it(`${what}: ${reason}, ${remembered ? 'remembered for 5 s' : 'asked again at once'}`, async () => {
        endpoint.answer = () => answer;
        const exchange = strategy();
        const user = userWith('alice', { claims: old });
        assert.equal(reasonOf(await get(exchange, user)), reason);
        assert.equal(reasonOf(await get(exchange, user)), reason);
        assert.equal(endpoint.calls.length, remembered ? 1 : 2);
        endpoint.answer = () => issued('good');
        tools.time.nowMs += 5_000;
        assert.equal(bearerOf(await get(exchange, user)), 'Bearer good');
      });
    }

    it('Retry-After is handed on', async () => {
      endpoint.answer = () => ({ status: 429, headers: { 'retry-after': '17' }, body: '' });
      const outcome = await get(strategy(), userWith('alice'));
      assert.ok(outcome.kind === 'refused');
      assert.equal(outcome.refusal.retryAfterSeconds, 17);
    });

    it('a token that was issued a moment ago is not asked for again: 403', async () => {
      endpoint.answer = () => oauth('invalid_request');
      const iat = Math.floor(tools.time.nowMs / 1_000) - 30;
      assert.equal(reasonOf(await get(strategy(), userWith('alice', { claims: { iat } }))), 'exchange_refused');
      assert.equal(
        reasonOf(await get(strategy(), userWith('bob', { claims: { iat: iat - 60 } }))),
        'subject_token_refused',
      );
    });

    it('one user’s refusal is nobody else’s', async () => {
      endpoint.answer = (params) =>
        params.get('subject_token') === 'token-of-bob' ? issued('bob') : oauth('access_denied');
      const exchange = strategy();
      assert.equal(reasonOf(await get(exchange, userWith('alice'))), 'exchange_refused');
      assert.equal(bearerOf(await get(exchange, userWith('bob'))), 'Bearer bob');
    });

    it('trouble about ourselves is not the user’s: 503; and another own token is tried after a refusal', async () => {
      const acting = strategy({ actor: 'self' });
      endpoint.answer = () => oauth('invalid_scope');
      assert.equal(reasonOf(await get(acting, userWith('alice'))), 'exchange_unavailable');
      endpoint.answer = (params, call) =>
        params.get('grant_type') === 'client_credentials'
          ? { body: { access_token: `ours-${call}`, token_type: 'Bearer', expires_in: 300 } }
          : oauth('invalid_request');
      await get(acting, userWith('bob'));
      const first = lastParams()['actor_token'];
      await get(acting, userWith('carol'));
      const second = lastParams()['actor_token'];
      assert.notEqual(second, first);
      await get(acting, userWith('dave'));
      await get(acting, userWith('erin'));
      assert.equal(lastParams()['actor_token'], second, 'but no more often than every 10 s');
      tools.time.nowMs += 10_000;
      await get(acting, userWith('frank'));
      await get(acting, userWith('grace'));
      assert.notEqual(lastParams()['actor_token'], second);
    });

    it('a refusal where we do not act leaves our own token alone', async () => {
      const [acting, plain] = [strategy({ actor: 'self' }), strategy()];
      endpoint.answer = (params, call) =>
        params.get('grant_type') === 'client_credentials'
          ? { body: { access_token: `ours-${call}`, token_type: 'Bearer', expires_in: 300 } }
          : params.has('actor_token')
            ? issued('x')
            : oauth('invalid_request');
      await get(acting, userWith('alice'));
      const first = lastParams()['actor_token'];
      assert.equal(reasonOf(await get(plain, userWith('mallory'))), 'subject_token_refused');
      await get(acting, userWith('bob'));
      assert.equal(lastParams()['actor_token'], first);
    });

    it('a caller who hangs up stops waiting, the exchange goes on', async () => {
      let release = (_: Scripted) => {};
      endpoint.answer = () => new Promise<Scripted>((resolve) => (release = resolve));
      const exchange = strategy();
      const hangUp = new AbortController();
      const given = Promise.resolve(exchange.credential(userWith('alice'), hangUp.signal));
      while (endpoint.calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
      hangUp.abort();
      await assert.rejects(given, { name: 'AbortError' });
      const waiting = get(exchange, userWith('alice'));
      release(issued('good'));
      assert.equal(bearerOf(await waiting), 'Bearer good');
      assert.equal(endpoint.calls.length, 1);
    });

    it('nothing of a token or an answer is logged', async () => {
      endpoint.answer = () => ({
        status: 500,
        body: { error: 'server_error', error_description: 'leak token-of-alice' },
      });
      await get(strategy(), userWith('alice'));
      endpoint.answer = () => issued('bad token');
      await get(strategy(), userWith('bob'));
      assert.ok(tools.lines.length > 0);
      assert.doesNotMatch(JSON.stringify(tools.lines), /token-of|leak|bad token|s3cret/);
    });
  });

  describe('with the token of an account as the subject', () => {
    const token = { kind: 'token', accessToken: new Secret('gho_alice'), generation: 4 } as const;
    const block = { subjectProviderName: 'github' };

    it('exchanges it, for methods without a token, too', async () => {
      const exchange = strategy(
        block,
        fakeRefresher(() => token),
      );
      assert.equal(bearerOf(await get(exchange, userWith('bot', { token: null }))), 'Bearer issued-1');
      assert.equal(lastParams()['subject_token'], 'gho_alice');
      assert.equal(reasonOf(await exchange.credential(ANONYMOUS, bounded())), 'login_required');
    });

    it('a refreshed token is exchanged anew', async () => {
      let current: string = 'one';
      const exchange = strategy(
        block,
        fakeRefresher(() => ({ ...token, accessToken: new Secret(current) })),
      );
      await get(exchange, userWith('alice'));
      current = 'two';
      assert.equal(bearerOf(await get(exchange, userWith('alice'))), 'Bearer issued-2');
    });

    it('no account: the answer of contract §5, forwarding what only opens or lists', async () => {
      const exchange = strategy(
        block,
        fakeRefresher(() => ({ kind: 'unconnected', why: 'never' })),
      );
      assert.deepEqual(await get(exchange, userWith('alice')), {
        kind: 'unconnected',
        provider: 'github',
        onMissing: 'auto',
        unconnected: 'forward',
      });
    });

    it('a vault or a provider that is away: 503', async () => {
      const away = { kind: 'unavailable', reason: 'vault_unavailable', retryAfterSeconds: 3 } as const;
      const outcome = await get(
        strategy(
          block,
          fakeRefresher(() => away),
        ),
        userWith('alice'),
      );
      assert.ok(outcome.kind === 'refused');
      assert.deepEqual([outcome.refusal.reason, outcome.refusal.retryAfterSeconds], ['upstream_unavailable', 3]);
    });

    it('a rejected one is refreshed once, and told as a refusal when the next is rejected too', async () => {
      endpoint.answer = () => oauth('invalid_request');
      let generation = 4;
      const refresher = fakeRefresher(() => ({ ...token, accessToken: new Secret(`gho_${generation}`), generation }));
      const exchange = strategy(block, refresher);
      const first = await get(exchange, userWith('alice'));
      assert.ok(first.kind === 'refused');
      assert.deepEqual([first.refusal.reason, first.refusal.retryAfterSeconds], ['upstream_unavailable', 1]);
      assert.deepEqual(refresher.stale, [
        { issuer: 'https://idp.example.com', subject: 'alice', provider: 'github', generation: 4 },
      ]);
      generation = 5;
      assert.equal(reasonOf(await get(exchange, userWith('alice'))), 'exchange_refused');
      assert.equal(refresher.stale.length, 1);
    });

    it('a provider that is not there is said when the route is prepared', () => {
      const make = () =>
        strategy(
          { subjectProviderName: 'gitlab' },
          fakeRefresher(() => token),
        );
      assert.throws(make, /subjectProviderName is gitlab/);
      assert.throws(() => strategy(block, undefined), /subjectProviderName is github/);
      assert.throws(() => strategy({ exchange: 'nowhere' }), /tokenExchange names nowhere/);
    });
  });
});

function issued(token: string, members: Record<string, unknown> = {}): Scripted {
  return {
    body: { access_token: token, issued_token_type: ACCESS_TOKEN, token_type: 'Bearer', expires_in: 300, ...members },
  };
}

function oauth(error: string, status = 400): Scripted {
  return { status, body: { error, error_description: 'words of the server' } };
}

function config(tokenEndpoint: string): TokenExchangeClientConfig {
  const parsed = tokenExchangeClientSchema.parse({
    tokenEndpoint,
    clientId: 'gateway',
    clientSecret: 's3cret',
    audiences: { 'hr-url': 'https://hr.example.com/api' },
  });
  (parsed.clientSecret as SecretRef).read('s3cret');
  return parsed;
}

function policyOf(block: Record<string, unknown>): OutgoingAuthOf<'token_exchange'> {
  const policy = { type: 'token_exchange', tokenExchange: { exchange: 'hr', ...block } };
  return outgoingAuthSchema.parse(policy) as OutgoingAuthOf<'token_exchange'>;
}
