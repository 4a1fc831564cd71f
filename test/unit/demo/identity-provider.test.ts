import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { startIdentityProvider } from '../../../demo/identity-provider.ts';
import type { IdentityProviderOptions } from '../../../demo/identity-provider.ts';

const resource = 'http://127.0.0.1:10000/legacy/mcp';

async function withProvider(run: (url: string) => Promise<void>, options: Partial<IdentityProviderOptions> = {}) {
  const running = await startIdentityProvider({ port: 0, ...options });
  try {
    await run(running.url);
  } finally {
    await running.stop();
  }
}

function ask(url: string, fields: Record<string, string>, accept = 'text/plain'): Promise<Response> {
  const body = new URLSearchParams({ grant_type: 'urn:demo:grant:user', client_id: 'demo-cli', resource, ...fields });
  return fetch(`${url}/token`, { method: 'POST', headers: { accept }, body });
}

test('a token for a person is an RFC 9068 access token for the resource asked for, with demonstration claims', () =>
  withProvider(async (url) => {
    const token = await (await ask(url, { username: 'alice' })).text();

    const keys = createRemoteJWKSet(new URL(`${url}/jwks`));
    const { payload } = await jwtVerify(token, keys, { issuer: url, audience: resource, typ: 'at+jwt' });
    const { iat = 0, exp, jti, ...claims } = payload;
    assert.equal(decodeProtectedHeader(token).alg, 'RS256');
    assert.equal(exp, iat + 600);
    assert.ok(jti);
    assert.deepEqual(claims, {
      iss: url,
      aud: resource,
      sub: 'alice',
      client_id: 'demo-cli',
      scope: 'mcp:read',
      email: 'alice@example.com',
      name: 'Alice Ångström',
      groups: ['engineering', 'admins'],
      realm_access: { roles: ['editor', 'admin'] },
      department: 'Research, Development',
    });
  }));

test('nobody gets a scope beyond their rights', () =>
  withProvider(async (url) => {
    const scopeOf = async (username: string) =>
      decodeJwt(await (await ask(url, { username, scope: 'mcp:read mcp:admin' })).text())['scope'];
    assert.equal(await scopeOf('alice'), 'mcp:read mcp:admin');
    assert.equal(await scopeOf('bob'), 'mcp:read');
  }));

test('unknown people and resources that are no MCP server of ours are refused', () =>
  withProvider(async (url) => {
    for (const [fields, error] of [
      [{ username: 'eve' }, 'invalid_request'],
      [{ username: 'alice', resource: '' }, 'invalid_target'],
      [{ username: 'alice', resource: 'http://other.example.com/mcp' }, 'invalid_target'],
      [{ username: 'alice', client_id: 'nobody' }, 'invalid_client'],
    ] as const) {
      const response = await ask(url, fields, 'application/json');
      const answer: unknown = await response.json();
      assert.partialDeepStrictEqual(answer, { error });
    }
  }));

test('opaque tokens can be introspected by a confidential client', () =>
  withProvider(
    async (url) => {
      const token = await (await ask(url, { username: 'bob' })).text();
      const response = await fetch(`${url}/token/introspection`, {
        method: 'POST',
        headers: { authorization: `Basic ${btoa('gateway:secret')}` },
        body: new URLSearchParams({ token }),
      });
      const answer: unknown = await response.json();
      assert.partialDeepStrictEqual(answer, { active: true, sub: 'bob', aud: resource, scope: 'mcp:read' });
    },
    {
      accessTokenFormat: 'opaque',
      clients: [
        { client_id: 'gateway', client_secret: 'secret', redirect_uris: [], response_types: [], grant_types: [] },
      ],
    },
  ));

test('both well-known documents name the same endpoints, and registration is open to pages on this machine only', () =>
  withProvider(async (url) => {
    const [oauth, openid] = await Promise.all(
      ['oauth-authorization-server', 'openid-configuration'].map(
        async (name): Promise<unknown> => (await fetch(`${url}/.well-known/${name}`)).json(),
      ),
    );
    assert.deepEqual(oauth, openid);
    assert.partialDeepStrictEqual(oauth, { issuer: url, registration_endpoint: `${url}/reg` });

    const preflight = async (origin: string) => {
      const response = await fetch(`${url}/reg`, { method: 'OPTIONS', headers: { origin } });
      return [response.status, response.headers.get('access-control-allow-origin')];
    };
    assert.deepEqual(await preflight('http://localhost:6274'), [204, 'http://localhost:6274']);
    assert.deepEqual(await preflight('http://127.evil.example.com'), [403, null]);
  }));

test('nothing is written to the console', async (context) => {
  const mocks = (['log', 'info', 'warn', 'error'] as const).map((name) => context.mock.method(console, name));
  await withProvider(async (url) => {
    await (await ask(url, { username: 'alice' })).text();
  });
  for (const mock of mocks) assert.equal(mock.mock.callCount(), 0);
});
