import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { hashSync } from 'bcryptjs';
import { startIdentityProvider } from '../../demo/identity-provider.ts';
import type { Running } from '../../demo/web-server.ts';
import { type Answer, rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const claims = { email: 'alice@example.com', groups: ['g1'], act: { sub: 'agent' }, scope: 'mcp:read' };

/** One route, one backend view, six ways in (R5). */
describe('every incoming method gives the same view of the caller', () => {
  let issuer: FakeIssuer;
  let idp: Running;
  let stack: Stack;
  const url = () => `${stack.origin}/all/mcp`;
  const basic = (user: string, password: string) => [
    'Authorization',
    `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
  ];
  const opaque = async (username: string): Promise<string> => {
    const form = new URLSearchParams({
      grant_type: 'urn:demo:grant:user',
      client_id: 'demo-cli',
      username,
      scope: 'mcp:read',
      resource: url(),
    });
    const answer = await send(`${idp.url}/token`, {
      method: 'POST',
      headers: ['content-type', 'application/x-www-form-urlencoded', 'accept', 'text/plain'],
      body: form.toString(),
    });
    assert.equal(answer.status, 200, answer.body);
    return answer.body.trim();
  };
  const forwarded = () =>
    Object.fromEntries(
      Object.entries(stack.backend.last().headers)
        .filter(([name]) => name.startsWith('x-forwarded-user-'))
        .map(([name, value]) => [name.slice('x-forwarded-user-'.length), value]),
    );

  before(async () => {
    issuer = await startIssuer();
    idp = await startIdentityProvider({
      port: 0,
      accessTokenFormat: 'opaque',
      clients: [
        {
          client_id: 'gateway',
          client_secret: 'gateway-secret',
          grant_types: [],
          response_types: [],
          redirect_uris: [],
        },
      ],
    });
    const policy = (origin: string, name: string, incomingAuth: string[], more: object = {}) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth,
        outgoingAuth: { type: 'unauthenticated' },
        identityPropagation: {
          mode: 'headers',
          attributes: ['id', 'issuer', 'email', 'groups', 'auth_method', 'delegation_chain'],
        },
        ...more,
      },
    });
    stack = await startStack({
      config: {
        incomingAuth: {
          corp: { type: 'jwt', issuer: issuer.issuer },
          opaque: { type: 'introspection', issuer: idp.url, clientId: 'gateway', clientSecret: 'gateway-secret' },
          ci: {
            type: 'api_key',
            keys: [
              { id: 'bot', sha256: sha256('key-1'), subject: 'alice', claims },
              { id: 'old', sha256: sha256('key-0'), subject: 'alice', claims, expires: '2020-01-01' },
            ],
          },
          legacy: {
            type: 'basic',
            users: [{ username: 'alice', passwordHash: hashSync('s3cret', 4), subject: 'alice', claims }],
          },
          mesh: {
            type: 'trusted_proxy',
            trustedPeers: ['127.0.0.0/8'],
            claimHeaders: { email: 'x-authenticated-email', groups: 'x-authenticated-groups' },
          },
          far: { type: 'trusted_proxy', trustedPeers: ['10.0.0.0/8'] },
          guest: { type: 'anonymous' },
        },
      },
      routes: (origin) => [
        policy(origin, 'all', ['corp', 'opaque', 'ci', 'legacy', 'mesh', 'guest'], { scopes: [] }),
        policy(origin, 'far', ['far', 'guest'], { resource: undefined }),
        policy(origin, 'keyonly', ['ci'], { resource: undefined, scopes: ['mcp:read'] }),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
    await idp?.stop();
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
  });
  const passes = async (headers: readonly string[], path = '/all/mcp'): Promise<void> => {
    const answer = await rpc(stack.origin + path, toolCall('x'), headers);
    assert.equal(answer.status, 200, answer.body);
  };
  const refused = async (headers: readonly string[], status: number, path = '/all/mcp'): Promise<Answer> => {
    const answer = await rpc(stack.origin + path, toolCall('x'), headers);
    assert.equal(answer.status, status, `${headers.join(' ')} ${answer.body}`);
    assert.equal(stack.backend.seen.length, 0);
    return answer;
  };

  it('jwt', async () => {
    await passes(['Authorization', `Bearer ${await issuer.token({ aud: url(), sub: 'alice', ...claims })}`]);
    assert.deepEqual(forwarded(), {
      id: 'alice',
      issuer: issuer.issuer,
      email: 'alice@example.com',
      groups: 'g1',
      'auth-method': 'jwt',
      'delegation-chain': 'agent',
    });
  });
  it('introspection, against a real provider', async () => {
    await passes(['Authorization', `Bearer ${await opaque('alice')}`]);
    const { id, issuer: from, 'auth-method': how } = forwarded();
    assert.deepEqual({ id, from, how }, { id: 'alice', from: idp.url, how: 'introspection' });
  });
  it('api_key', async () => {
    await passes(['X-Api-Key', 'key-1']);
    assert.deepEqual(forwarded(), {
      id: 'alice',
      issuer: 'urn:envoy-mcp-identity:ci',
      email: 'alice@example.com',
      groups: 'g1',
      'auth-method': 'api_key',
      'delegation-chain': 'agent',
    });
    assert.equal(stack.backend.last().headers['x-api-key'], undefined);
  });
  it('basic', async () => {
    await passes(basic('alice', 's3cret'));
    assert.deepEqual(forwarded(), {
      id: 'alice',
      issuer: 'urn:envoy-mcp-identity:legacy',
      email: 'alice@example.com',
      groups: 'g1',
      'auth-method': 'basic',
      'delegation-chain': 'agent',
    });
    assert.equal(stack.backend.last().headers['authorization'], undefined);
  });
  it('trusted_proxy', async () => {
    await passes(['X-Authenticated-User', 'alice', 'X-Authenticated-Email', 'alice@example.com']);
    assert.deepEqual(forwarded(), {
      id: 'alice',
      issuer: 'urn:envoy-mcp-identity:mesh',
      email: 'alice@example.com',
      'auth-method': 'trusted_proxy',
    });
    assert.equal(stack.backend.last().headers['x-authenticated-user'], undefined);
  });
  it('anonymous', async () => {
    await passes([]);
    assert.deepEqual(forwarded(), {});
  });

  it('claimed and wrong never falls through, and never becomes a guest', async () => {
    await refused(['X-Api-Key', 'wrong'], 401);
    await refused(['X-Api-Key', 'key-0'], 401);
    await refused(basic('alice', 'wrong'), 401);
    await refused(['Authorization', 'Bearer not-a-token'], 401);
    await refused(
      ['Authorization', `Bearer ${await issuer.token({ aud: 'https://other', sub: 'alice' })}`, 'X-Api-Key', 'key-1'],
      401,
    );
    await refused(['X-Api-Key', 'key-1', 'X-Api-Key', 'key-1'], 400);
    await refused(['X-Api-Key', 'wrong', 'X-Authenticated-User', 'alice'], 401);
  });

  it('headers of a proxy that is not trusted count as absent and are removed', async () => {
    await passes(['X-Authenticated-User', 'root'], '/far/mcp');
    assert.deepEqual(forwarded(), {});
    assert.equal(stack.backend.last().headers['x-authenticated-user'], undefined);
  });

  it('scopes of claims count, also without a token', async () => {
    await passes(['X-Api-Key', 'key-1'], '/keyonly/mcp');
    stack.backend.seen.length = 0;
    await refused([], 401, '/keyonly/mcp');
  });

  it('an introspection endpoint that is down is a 503, never a pass', async () => {
    const token = await opaque('bob');
    await idp.stop();
    const answer = await rpc(url(), toolCall('x'), ['Authorization', `Bearer ${token}`]);
    assert.equal(answer.status, 503, answer.body);
    assert.ok(answer.headers['retry-after']);
  });
});
