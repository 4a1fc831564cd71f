import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernTransport,
  type VersionNegotiationMode,
} from '@modelcontextprotocol/client';
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as LegacyTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { startLegacyBackend } from '../../demo/mcp-legacy.ts';
import { startModernBackend } from '../../demo/mcp-modern.ts';
import type { Running } from '../../demo/web-server.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

type Route = 'legacy' | 'modern';
interface Listing {
  names(): Promise<string[]>;
  call(tool: string): Promise<unknown>;
  close(): Promise<void>;
}
type Open = (url: URL, headers: Record<string, string>) => Promise<Listing>;

const ABOUT = { name: 'test', version: '1.0.0' };

const legacy: Open = async (url, headers) => {
  const client = new LegacyClient(ABOUT);
  await client.connect(new LegacyTransport(url, { requestInit: { headers } }));
  return {
    names: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: (name) => client.callTool({ name, arguments: { name: 'r', text: 't' } }),
    close: () => client.close(),
  };
};

const modern =
  (mode: VersionNegotiationMode): Open =>
  async (url, headers) => {
    const client = new ModernClient(ABOUT, { versionNegotiation: { mode } });
    await client.connect(new ModernTransport(url, { requestInit: { headers } }));
    return {
      names: async () => (await client.listTools()).tools.map(({ name }) => name),
      call: (name) => client.callTool({ name, arguments: { name: 'r', text: 't' } }),
      close: () => client.close(),
    };
  };

describe('filtered lists with the official SDKs', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const backends: Running[] = [];
  const open: Listing[] = [];

  before(async () => {
    issuer = await startIssuer();
    backends.push(await startLegacyBackend({ port: 0 }), await startModernBackend({ port: 0 }));
    const route = (origin: string, name: Route, index: number) => ({
      prefix: `/${name}/mcp`,
      rewrite: '/mcp',
      port: Number(new URL(backends[index]!.url).port),
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp'],
        tools: { delete_repo: { scopes: ['repo:admin'] }, whoami: { deny: true } },
        filterLists: true,
        outgoingAuth: { type: 'claim_injection' },
        session: { bind: true },
      },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
        session: { keys: [{ id: 'k1', key: Buffer.alloc(32, 1).toString('base64') }] },
      },
      routes: (origin) => [route(origin, 'legacy', 0), route(origin, 'modern', 1)],
    });
  });
  after(async () => {
    await stack?.stop();
    await Promise.all(backends.map((backend) => backend.stop()));
    await issuer?.stop();
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((client) => client.close()));
  });

  for (const [name, connect, route] of [
    ['client 1.x, server 1.x', legacy, 'legacy'],
    ['client 2.x as of 2025-11-25, server 1.x', modern('legacy'), 'legacy'],
    ['client 1.x, server 2.x', legacy, 'modern'],
    ['client and server 2.x, 2026-07-28', modern({ pin: '2026-07-28' }), 'modern'],
  ] as const) {
    it(name, async () => {
      const start = async (scope: string): Promise<Listing> => {
        const url = new URL(`${stack.origin}/${route}/mcp`);
        const token = await issuer.token({ aud: url.href, sub: 'alice', scope });
        const client = await connect(url, { authorization: `Bearer ${token}` });
        open.push(client);
        return client;
      };
      const user = await start('');
      assert.deepEqual(await user.names(), ['echo']);
      assert.deepEqual(((await user.call('echo')) as { content: object[] }).content, [{ type: 'text', text: 't' }]);
      await assert.rejects(user.call('whoami'));
      const admin = await start('repo:admin');
      assert.deepEqual(await admin.names(), ['echo', 'delete_repo']);
      await admin.call('delete_repo');
      await assert.rejects(admin.call('whoami'));
    });
  }
});
