// Token exchange against a real Keycloak 26 (standard token exchange, V2). Not part of a normal run: see start-keycloak.ts.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { decodeJwt } from 'jose';
import { rpc, toolCall } from '../support/http.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { type Keycloak, KEYCLOAK_HOME, NO_KEYCLOAK, startKeycloak } from './start-keycloak.ts';

describe('token_exchange against Keycloak', {
  skip: NO_KEYCLOAK,
  timeout: 300_000,
}, () => {
  let keycloak: Keycloak;
  let stack: Stack;

  const signIn = async (user: string) => {
    const answer = await keycloak.form('token', {
      grant_type: 'password',
      client_id: 'mcp-client',
      username: user,
      password: user,
    });
    assert.equal(answer.status, 200, answer.body);
    return answer.json() as { access_token: string; refresh_token: string };
  };
  const call = async (route: string, user: string) =>
    rpc(`${stack.origin}/${route}/mcp`, toolCall('x'), [
      'Authorization',
      `Bearer ${(await signIn(user)).access_token}`,
    ]);
  const seen = () => decodeJwt(stack.backend.last().headers['authorization']!.slice('Bearer '.length));
  const detailOf = async (reason: string) => {
    const line = await stack.services[0]!.until(() => stack.audit().findLast((entry) => entry.reason === reason));
    return line['detail'] as string;
  };

  before(async () => {
    keycloak = await startKeycloak(KEYCLOAK_HOME as string);
    const { issuer } = keycloak;
    const route = (origin: string, name: string, tokenExchange: object) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp'],
        outgoingAuth: { type: 'token_exchange', tokenExchange: { exchange: 'keycloak', ...tokenExchange } },
      },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer, audience: ['gateway'], tokenTypes: ['JWT'] } },
        tokenExchanges: {
          keycloak: {
            tokenEndpoint: `${issuer}/protocol/openid-connect/token`,
            clientId: 'gateway',
            clientSecret: 'gateway-s3cret',
          },
        },
      },
      routes: (origin) => [
        route(origin, 'hr', { audience: 'hr' }),
        route(origin, 'pay', { audience: 'pay' }),
        route(origin, 'resource', { resource: 'https://hr.example.com/' }),
        route(origin, 'acting', { audience: 'hr', actor: 'self' }),
        route(origin, 'scoped', { audience: 'hr', scopes: ['email'] }),
        route(origin, 'unknown-scope', { audience: 'hr', scopes: ['nonsense'] }),
        route(origin, 'jwt', { audience: 'hr', requestedTokenType: 'urn:ietf:params:oauth:token-type:jwt' }),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await keycloak?.stop();
  });

  it('gives the backend a token for its own audience, for the user', async () => {
    const answer = await call('hr', 'alice');
    assert.equal(answer.status, 200, answer.body);
    const { aud, azp, preferred_username: name } = seen();
    assert.deepEqual([[aud].flat().includes('hr'), azp, name], [true, 'gateway', 'alice']);
  });

  it('100 parallel calls of one user make one exchange; two users never share', async () => {
    const issued = async () =>
      Number(/exchanges_total\{name="keycloak",outcome="issued"\} (\d+)/.exec(await stack.metrics())?.[1] ?? 0);
    const before = await issued();
    const { access_token: token } = await signIn('alice');
    const many = Array.from({ length: 100 }, () =>
      rpc(`${stack.origin}/hr/mcp`, toolCall('x'), ['Authorization', `Bearer ${token}`]),
    );
    assert.deepEqual(new Set((await Promise.all(many)).map(({ status }) => status)), new Set([200]));
    assert.equal((await issued()) - before, 1);
    await call('hr', 'bob');
    assert.equal(seen()['preferred_username'], 'bob');
  });

  it('an audience that the user may not have: 403 and no new sign-in', async () => {
    assert.equal((await call('pay', 'bob')).status, 200);
    const answer = await call('pay', 'alice');
    assert.deepEqual([answer.status, answer.headers['www-authenticate']], [403, undefined]);
    assert.match(await detailOf('exchange_refused'), /^(rejected|client_rejected) \w+$/);
  });

  it('what it ignores in silence is noticed: resource and actor_token', async () => {
    assert.equal((await call('resource', 'alice')).status, 502);
    assert.equal(await detailOf('exchange_answer_invalid'), 'token_audience');
    assert.equal((await call('acting', 'alice')).status, 502);
    await stack.services[0]!.until(() => stack.audit().some((entry) => entry['detail'] === 'token_without_actor'));
  });

  it('scopes and token types', async () => {
    assert.equal((await call('scoped', 'alice')).status, 200);
    assert.match(String(seen()['scope']), /email/);
    assert.equal((await call('unknown-scope', 'alice')).status, 403);
    // It knows access, ID and refresh tokens only.
    assert.equal((await call('jwt', 'alice')).status, 403);
  });

  it('after signing out nothing is exchanged any more', async () => {
    const { access_token: token, refresh_token } = await signIn('bob');
    await keycloak.form('logout', { client_id: 'mcp-client', refresh_token });
    const answer = await rpc(`${stack.origin}/hr/mcp`, toolCall('x'), ['Authorization', `Bearer ${token}`]);
    assert.equal(answer.status, 403, answer.body);
    assert.match(await detailOf('exchange_refused'), /invalid_/);
  });
});
