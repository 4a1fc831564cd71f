import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startIdentityProvider } from '../../demo/identity-provider.ts';
import { startLegacyBackend } from '../../demo/mcp-legacy.ts';
import { startModernBackend } from '../../demo/mcp-modern.ts';
import type { Running } from '../../demo/web-server.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** The official clients find everything by themselves: challenge, metadata, identity provider, registration, sign-in. */
describe('official MCP clients of both eras, from the first 401 to a tool’s answer', () => {
  let idp: Running;
  const backends: Running[] = [];
  let stack: Stack;

  before(async () => {
    idp = await startIdentityProvider({ port: 0 });
    backends.push(await startLegacyBackend({ port: 0 }), await startModernBackend({ port: 0 }));
    const route = (origin: string, name: string, index: number) => ({
      prefix: `/${name}/mcp`,
      rewrite: '/mcp',
      port: Number(new URL(backends[index]!.url).port),
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp'],
        scopes: ['mcp:read'],
        tools: { delete_repo: { scopes: ['mcp:admin'] } },
        outgoingAuth: { type: 'claim_injection', claimInjection: { claims: ['sub', 'email'] } },
        identityPropagation: { mode: 'both', attributes: ['id', 'groups'] },
        session: { bind: true },
      },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: idp.url } },
        session: { keys: [{ id: 'k1', key: Buffer.alloc(32, 1).toString('base64') }] },
      },
      routes: (origin) => [route(origin, 'legacy', 0), route(origin, 'modern', 1)],
    });
  });
  after(async () => {
    await stack?.stop();
    await Promise.all([idp, ...backends].map((running) => running?.stop()));
  });

  const run = (script: string, ...args: string[]) =>
    new Promise<{ code: number; output: string }>((resolve) => {
      const path = fileURLToPath(new URL(`../../demo/${script}`, import.meta.url));
      execFile(process.execPath, [path, ...args], { timeout: 30_000 }, (error, stdout, stderr) =>
        resolve({ code: error ? 1 : 0, output: stdout + stderr }),
      );
    });

  for (const name of ['legacy', 'modern'] as const) {
    it(`${name}: signs in and sees in the backend’s answer which identity arrived`, async () => {
      const { code, output } = await run(`client-${name}.ts`, 'bob', `${stack.origin}/${name}/mcp`, 'whoami');
      assert.equal(code, 0, output);
      assert.match(output, /x-user-sub: bob/);
      assert.match(output, /x-user-email: bob@/);
      assert.match(output, /x-forwarded-user-id: bob/);
      assert.doesNotMatch(output, /eyJ/, 'no token reaches the backend');
    });
  }

  it('modern: a tool that needs one scope more is reached by one step-up, by who may have it', async () => {
    const alice = await run('client-modern.ts', 'alice', `${stack.origin}/modern/mcp`, 'delete_repo');
    assert.equal(alice.code, 0, alice.output);
    const bob = await run('client-modern.ts', 'bob', `${stack.origin}/modern/mcp`, 'delete_repo');
    assert.equal(bob.code, 1, bob.output);
  });
});
