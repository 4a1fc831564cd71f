import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { test } from 'node:test';
import * as modern from '@modelcontextprotocol/client';
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as LegacyTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { startLegacyBackend } from '../../../demo/mcp-legacy.ts';
import { startModernBackend } from '../../../demo/mcp-modern.ts';

interface Seen {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Headers as a gateway would have added them. */
const requestInit = { headers: { 'x-user-sub': 'alice', authorization: 'Bearer very-secret' } };
const whoamiLines = (text: string | undefined) => text?.split('\n').filter((line) => !line.startsWith('mcp-'));
const expectedLines = ['authorization: Bearer [18 characters, not shown]', 'x-user-sub: alice'];

test('the official 1.x client opens a session, uses tools, resource and prompt, and ends the session', async () => {
  const seen: Seen[] = [];
  const backend = await startLegacyBackend({ port: 0, onRequest: (headers, body) => seen.push({ headers, body }) });
  try {
    const url = new URL('/mcp', backend.url);
    const transport = new LegacyTransport(url, { requestInit });
    const client = new LegacyClient({ name: 'test', version: '1' });
    await client.connect(transport);
    const session = transport.sessionId;
    assert.ok(session);

    const { tools } = await client.listTools();
    assert.deepEqual(
      tools.map((tool) => tool.name),
      ['whoami', 'echo', 'delete_repo'],
    );
    const whoami = await client.callTool({ name: 'whoami' });
    assert.ok(Array.isArray(whoami.content));
    assert.deepEqual(whoamiLines(whoami.content[0].text), expectedLines);
    const echo = await client.callTool({ name: 'echo', arguments: { text: 'hello' } });
    assert.deepEqual(echo.content, [{ type: 'text', text: 'hello' }]);
    const about = await client.readResource({ uri: 'demo://about' });
    assert.equal(about.contents[0]?.uri, 'demo://about');
    const prompt = await client.getPrompt({ name: 'greet', arguments: { name: 'Ada' } });
    assert.equal(prompt.messages.length, 1);

    const call = seen.find(({ body }) => body.includes('tools/call'));
    assert.equal(call?.headers['mcp-session-id'], session);
    assert.equal(call.headers['x-user-sub'], 'alice');

    await transport.terminateSession();
    await client.close();
    const late = await fetch(url, { method: 'POST', headers: { 'mcp-session-id': session }, body: '{}' });
    assert.equal(late.status, 404);
  } finally {
    await backend.stop();
  }
});

test('the official 2.x client speaks 2026-07-28: no session, method and name in headers', async () => {
  const seen: Seen[] = [];
  const backend = await startModernBackend({ port: 0, onRequest: (headers, body) => seen.push({ headers, body }) });
  try {
    const transport = new modern.StreamableHTTPClientTransport(new URL('/mcp', backend.url), { requestInit });
    const client = new modern.Client(
      { name: 'test', version: '1' },
      { versionNegotiation: { mode: { pin: '2026-07-28' } } },
    );
    await client.connect(transport);

    const whoami = await client.callTool({ name: 'whoami', _meta: { user: { id: 'alice' } } });
    const [part] = whoami.content;
    assert.ok(part?.type === 'text');
    assert.deepEqual(whoamiLines(part.text), [...expectedLines, '_meta: {"user":{"id":"alice"}}']);
    const about = await client.readResource({ uri: 'demo://about' });
    assert.equal(about.contents[0]?.uri, 'demo://about');
    const prompt = await client.getPrompt({ name: 'greet', arguments: { name: 'Ada' } });
    assert.equal(prompt.messages.length, 1);

    assert.ok(seen.every(({ headers }) => headers['mcp-session-id'] === undefined));
    const call = seen.find(({ body }) => body.includes('tools/call'));
    assert.equal(call?.headers['mcp-protocol-version'], '2026-07-28');
    assert.equal(call.headers['mcp-method'], 'tools/call');
    assert.equal(call.headers['mcp-name'], 'whoami');
    await client.close();
  } finally {
    await backend.stop();
  }
});
