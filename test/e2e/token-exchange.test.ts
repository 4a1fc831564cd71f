import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { openVault } from '../../src/upstream/vault/open.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { type ExchangeServer, GATEWAY, startExchangeServer } from '../support/exchange-server.ts';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { testTools, vaultConfig } from '../support/vault-tools.ts';

const KEY_BYTES = randomBytes(32);

describe('token_exchange through Envoy, against oidc-provider with an RFC 8693 grant', () => {
  let server: ExchangeServer;
  let github: FakeProvider;
  let stack: Stack;
  let vault: Vault;
  const bearer = async (path: string, subject: string) => [
    'Authorization',
    `Bearer ${await server.userToken(subject, stack.origin + path)}`,
  ];
  const call = async (path: string, subject: string) =>
    rpc(stack.origin + path, toolCall('x'), await bearer(path, subject));
  const tokenSeen = () => (stack.backend.last().headers['authorization'] ?? '').replace(/^Bearer /, '');

  before(async () => {
    [server, github] = await Promise.all([startExchangeServer(), startProvider()]);
    server.foreign = (token) => github.userOf(token);
    const route = (origin: string, name: string, tokenExchange: object, more: object = {}) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp', 'ci', 'guest'],
        outgoingAuth: { type: 'token_exchange', tokenExchange: { exchange: 'sso', ...tokenExchange } },
        ...more,
      },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: server.issuer }, ci: apiKey(), guest: { type: 'anonymous' } },
        tokenExchanges: { sso: { tokenEndpoint: server.tokenEndpoint, ...GATEWAY } },
        upstreamProviders: { github: { issuer: github.issuer, clientId: 'c', clientSecret: 's', scopes: [] } },
        vault: { store: 'sqlite:./vault.db', keys: [{ id: 'k1', key: KEY_BYTES.toString('base64') }] },
        connect: {
          login: { issuer: server.issuer, clientId: 'login', clientSecret: 'x' },
          cookieKeys: [randomBytes(32).toString('base64')],
        },
      },
      routes: (origin) => [
        route(origin, 'hr', { audience: 'hr', scopes: ['read'] }),
        route(origin, 'hr-write', { audience: 'hr', scopes: ['read', 'write'] }),
        route(origin, 'pay', { audience: 'pay' }),
        route(origin, 'acting', { audience: 'hr', actor: 'self' }),
        route(origin, 'nowhere', { audience: 'nowhere' }),
        route(origin, 'linked', { audience: 'hr', subjectProviderName: 'github' }, { incomingAuth: ['corp'] }),
      ],
    });
    vault = await openVault(
      vaultConfig(`sqlite:${join(stack.folder, 'vault.db')}`, [{ id: 'k1', bytes: KEY_BYTES }]),
      testTools(),
    );
  });
  after(async () => {
    await vault?.close();
    await stack?.stop();
    await Promise.all([server?.stop(), github?.stop()]);
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
    server.exchanges.length = 0;
  });
  afterEach(() => {
    server.trouble = undefined;
    server.signedOut.clear();
  });

  it('the backend gets a token of its own audience, for the user, and never the one the client sent', async () => {
    const auth = await bearer('/hr/mcp', 'alice');
    const answer = await rpc(`${stack.origin}/hr/mcp`, toolCall('x'), auth);
    assert.equal(answer.status, 200, answer.body);
    const claims = await server.claims(tokenSeen());
    assert.deepEqual([claims.sub, claims.aud, claims['scope'], claims['act']], ['alice', 'hr', 'read', undefined]);
    assert.ok(!JSON.stringify(stack.backend.last().rawHeaders).includes((auth[1] as string).slice(7)));
  });

  it('100 parallel calls of one user make one exchange', async () => {
    const auth = await bearer('/hr/mcp', 'many');
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => rpc(`${stack.origin}/hr/mcp`, toolCall('x'), auth)),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.equal(server.exchanges.length, 1);
    assert.equal(new Set(stack.backend.seen.map(({ headers }) => headers['authorization'])).size, 1);
  });

  it('two users never share, whatever comes when', async () => {
    const users = ['u1', 'u2', 'u3'];
    const tokens = new Map(
      await Promise.all(users.map(async (user) => [user, await bearer('/hr/mcp', user)] as const)),
    );
    await Promise.all(
      Array.from({ length: 60 }, (_, i) => {
        const user = users[i % 3] as string;
        return rpc(`${stack.origin}/hr/mcp`, toolCall(user), tokens.get(user));
      }),
    );
    for (const { body, headers } of stack.backend.seen) {
      const { params } = JSON.parse(body.toString()) as { params: { name: string } };
      assert.equal((await server.claims(headers['authorization']!.slice(7))).sub, params.name);
    }
    assert.equal(stack.backend.seen.length, 60);
    assert.equal(server.exchanges.length, 3);
  });

  it('a narrower request is never served by a broader token, nor one for another audience', async () => {
    const seen: unknown[] = [];
    for (const path of ['/hr-write/mcp', '/hr/mcp', '/pay/mcp']) {
      await call(path, 'bob');
      const { aud, scope } = await server.claims(tokenSeen());
      seen.push([aud, scope]);
    }
    assert.deepEqual(seen, [
      ['hr', 'read write'],
      ['hr', 'read'],
      ['pay', 'read'],
    ]);
  });

  it('actor: self: the token says that we act for the user', async () => {
    await Promise.all([call('/acting/mcp', 'alice'), call('/acting/mcp', 'bob')]);
    const claims = await server.claims(tokenSeen());
    assert.deepEqual(claims['act'], { sub: GATEWAY.clientId });
    assert.equal(server.ownTokens, 1);
  });

  it('who comes without a token, or anonymously, is asked to sign in', async () => {
    const anonymous = await rpc(`${stack.origin}/hr/mcp`, toolCall('x'));
    const keyed = await rpc(`${stack.origin}/hr/mcp`, toolCall('x'), ['X-Api-Key', 'key']);
    assert.deepEqual([anonymous.status, keyed.status], [401, 401]);
    assert.equal(anonymous.headers['www-authenticate'], keyed.headers['www-authenticate']);
    assert.doesNotMatch(keyed.headers['www-authenticate'] as string, /error=/);
    assert.equal(server.exchanges.length, 0);
  });

  it('a wrong audience in the policy is the caller’s 403, an endpoint that is away a 503', async () => {
    const refused = await call('/nowhere/mcp', 'alice');
    assert.deepEqual([refused.status, refused.json().error.data.error], [403, 'exchange_refused']);
    assert.equal(refused.headers['www-authenticate'], undefined);
    server.trouble = 500;
    const away = await call('/hr/mcp', 'carol');
    assert.deepEqual([away.status, away.headers['retry-after']], [503, '5']);
    assert.equal(stack.backend.seen.length, 0);
    server.trouble = undefined;
    assert.equal((await call('/hr/mcp', 'carol')).status, 200);
  });

  it('a user who has signed out: 403 while the token is fresh, for a new one would fare no better', async () => {
    server.signedOut.add('dave');
    const answer = await call('/hr/mcp', 'dave');
    assert.deepEqual([answer.status, answer.json().error.data.error], [403, 'exchange_refused']);
    const line = await stack.services[0]!.until(() => stack.audit().find((entry) => entry['subject'] === 'dave'));
    assert.deepEqual(
      [line.reason, line['detail'], line['strategy']],
      ['exchange_refused', 'rejected invalid_request', 'token_exchange'],
    );
  });

  it('a backend’s 401 drops the token; the next call has a new one', async () => {
    const auth = await bearer('/hr/mcp', 'erin');
    await rpc(`${stack.origin}/hr/mcp`, toolCall('x'), auth);
    const first = tokenSeen();
    stack.backend.respond = (_seen, response) => void response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    const refused = await rpc(`${stack.origin}/hr/mcp`, toolCall('x'), auth);
    stack.backend.respond = (_seen, response) => void response.end('{}');
    assert.deepEqual([refused.status, refused.headers['www-authenticate']], [502, undefined]);
    await rpc(`${stack.origin}/hr/mcp`, toolCall('x'), auth);
    assert.notEqual(tokenSeen(), first);
    assert.equal(server.exchanges.length, 2);
  });

  it('the token of a connected account is the subject, refreshed first; without one the link to connect it', async () => {
    const missing = await call('/linked/mcp', 'fred');
    assert.equal(missing.status, 200);
    assert.match(missing.json().result.content[0].text, /\/connect\/github\?ticket=/);
    const opening = await rpc(
      `${stack.origin}/linked/mcp`,
      { jsonrpc: '2.0', id: 1, method: 'tools/list' },
      await bearer('/linked/mcp', 'fred'),
    );
    assert.equal(opening.status, 200);
    assert.equal(
      stack.backend.last().headers['authorization'],
      undefined,
      'what only lists goes on without a credential',
    );

    const key = { issuer: server.issuer, subject: 'gina', provider: 'github' };
    const old = github.issue('gina', { lifetimeSeconds: 100, ageSeconds: 200 });
    await vault.create(key, old);
    const answer = await call('/linked/mcp', 'gina');
    assert.equal(answer.status, 200, answer.body);
    assert.equal((await server.claims(tokenSeen())).sub, 'gina');
    assert.equal(github.refreshes.filter((user) => user === 'gina').length, 1);
    assert.notEqual(server.exchanges.at(-1)?.subject_token, old.accessToken.reveal());
  });

  it('an account whose token is refused is refreshed; when that fails, too, it is to be connected anew', async () => {
    const key = { issuer: server.issuer, subject: 'hugo', provider: 'github' };
    await vault.create(key, github.issue('hugo', { lifetimeSeconds: 3_600 }));
    github.revokeAll('hugo');
    const refused = await call('/linked/mcp', 'hugo');
    assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '1']);
    assert.match((await call('/linked/mcp', 'hugo')).json().result.content[0].text, /\/connect\/github\?ticket=/);
    assert.equal(await vault.read(key), undefined);
  });

  it('no token stands in any log, and the metrics count', async () => {
    const auth = await bearer('/hr/mcp', 'helen');
    await rpc(`${stack.origin}/hr/mcp`, toolCall('x'), auth);
    const everything = stack.services.map(({ stdout, stderr }) => stdout + stderr).join('');
    for (const token of [tokenSeen(), (auth[1] as string).slice(7), GATEWAY.clientSecret])
      assert.ok(!everything.includes(token.slice(-20)));
    const metrics = await stack.metrics();
    assert.match(metrics, /mcp_identity_token_exchanges_total\{name="sso",outcome="issued"\} \d/);
    assert.match(metrics, /mcp_identity_credential_cache_hits_total\{kind="token_exchange"\} \d/);
    assert.equal((await send(`${stack.adminUrl}/readyz`)).status, 200);
  });
});

function apiKey(): object {
  // sha256 of "key"
  const sha256 = '2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683';
  return { type: 'api_key', keys: [{ id: 'bot', sha256, subject: 'bot' }] };
}
