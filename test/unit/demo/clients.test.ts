import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { startIdentityProvider } from '../../../demo/identity-provider.ts';
import { startLegacyBackend } from '../../../demo/mcp-legacy.ts';
import { startModernBackend } from '../../../demo/mcp-modern.ts';
import { listenWeb } from '../../../demo/web-server.ts';
import type { Running } from '../../../demo/web-server.ts';

/**
 * Stands where Envoy and the service stand in the demo, with as little as the clients need: the challenge,
 * the metadata of the resource (RFC 9728), and one claim as a header.
 */
async function startGate(issuer: string, backend: string): Promise<Running> {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
  return listenWeb(
    async (request) => {
      const url = new URL(request.url);
      const resource = `${url.origin}/mcp`;
      if (url.pathname === '/.well-known/oauth-protected-resource/mcp') {
        return Response.json({
          resource,
          authorization_servers: [issuer],
          scopes_supported: ['mcp:read', 'mcp:admin'],
        });
      }
      const directions = `resource_metadata="${url.origin}/.well-known/oauth-protected-resource/mcp"`;
      const token = request.headers.get('authorization')?.slice('Bearer '.length);
      if (token === undefined) return challenge(401, `Bearer scope="mcp:read", ${directions}`);
      const { payload } = await jwtVerify(token, keys, { issuer, audience: resource, typ: 'at+jwt' });

      const body = await request.text();
      if (body.includes('"delete_repo"') && !String(payload['scope']).includes('mcp:admin')) {
        return challenge(403, `Bearer error="insufficient_scope", scope="mcp:read mcp:admin", ${directions}`);
      }
      const headers = new Headers(request.headers);
      headers.delete('authorization');
      headers.set('x-user-sub', String(payload.sub));
      for (const name of ['host', 'connection', 'content-length', 'transfer-encoding']) headers.delete(name);
      return fetch(`${backend}/mcp`, { method: request.method, headers, ...(body === '' ? {} : { body }) });
    },
    { port: 0 },
  );
}

function challenge(status: number, value: string): Response {
  return new Response(null, { status, headers: { 'www-authenticate': value } });
}

function runClient(script: string, gate: string, user: string, ...more: string[]) {
  const path = fileURLToPath(new URL(`../../../demo/${script}`, import.meta.url));
  return new Promise<{ stdout: string; stderr: string }>((resolve) => {
    const args = [path, user, `${gate}/mcp`, ...more];
    execFile(process.execPath, args, { timeout: 30_000 }, (_error, stdout, stderr) => resolve({ stdout, stderr }));
  });
}

for (const [script, start] of [
  ['client-legacy.ts', startLegacyBackend],
  ['client-modern.ts', startModernBackend],
] as const) {
  test(`${script} registers, signs in as the user it was told, and reaches the backend`, async () => {
    const idp = await startIdentityProvider({ port: 0 });
    const backend = await start({ port: 0 });
    const gate = await startGate(idp.url, backend.url);
    try {
      const { stdout, stderr } = await runClient(script, gate.url, 'bob');
      assert.equal(stderr, '');
      assert.match(stdout, /registered itself\n.*signs in as bob for scope "mcp:read.*\n.*access token\n/);
      assert.match(stdout, /^x-user-sub: bob$/m);
      assert.doesNotMatch(stdout, /^authorization/m);
    } finally {
      await Promise.all([gate.stop(), backend.stop(), idp.stop()]);
    }
  });
}

test('client-modern.ts signs in again for one scope more; who may not have it is refused', async () => {
  const idp = await startIdentityProvider({ port: 0 });
  const backend = await startModernBackend({ port: 0 });
  const gate = await startGate(idp.url, backend.url);
  try {
    const alice = await runClient('client-modern.ts', gate.url, 'alice', 'delete_repo');
    assert.match(alice.stdout, /signs in as alice for scope "mcp:read mcp:admin/);
    assert.match(alice.stdout, /Pretended to delete site\.\n$/);
    const bob = await runClient('client-modern.ts', gate.url, 'bob', 'delete_repo');
    assert.match(bob.stderr, /^refused: /);
    assert.doesNotMatch(bob.stdout, /Pretended/);
  } finally {
    await Promise.all([gate.stop(), backend.stop(), idp.stop()]);
  }
});
