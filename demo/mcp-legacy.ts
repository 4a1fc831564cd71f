import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import { z } from 'zod';
import { about, describeCaller, greeting, textResult, tools } from './mcp-content.ts';
import { listenWeb } from './web-server.ts';
import type { ListenOptions, OnRequest, Running } from './web-server.ts';

export interface McpBackendOptions extends ListenOptions {
  readonly onRequest?: OnRequest;
}

/**
 * An MCP server of the revisions up to 2025-11-25, with sessions, at `<url>/mcp`.
 * One `McpServer` and one transport per session, as SDK 1.x wants it.
 */
export async function startLegacyBackend(options: McpBackendOptions): Promise<Running> {
  const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();

  async function openSession(): Promise<WebStandardStreamableHTTPServerTransport> {
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void sessions.set(id, transport),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    await createServer().connect(transport);
    return transport;
  }

  async function handle(request: Request): Promise<Response> {
    if (new URL(request.url).pathname !== '/mcp') return new Response('the MCP endpoint is /mcp\n', { status: 404 });
    const id = request.headers.get('mcp-session-id');
    if (id === null) return (await openSession()).handleRequest(request);
    // 2025-11-25, Streamable HTTP: 404 makes the client start a new session.
    return sessions.get(id)?.handleRequest(request) ?? new Response('unknown session\n', { status: 404 });
  }

  const running = await listenWeb(handle, options);
  return {
    url: running.url,
    async stop() {
      await Promise.all([...sessions.values()].map((transport) => transport.close()));
      await running.stop();
    },
  };
}

function createServer(): McpServer {
  const server = new McpServer({ name: 'demo-legacy', version: '1.0.0' });

  server.registerTool('whoami', tools.whoami, ({ requestInfo, _meta }) =>
    textResult(describeCaller(requestInfo?.headers ?? {}, _meta)),
  );
  server.registerTool('echo', { ...tools.echo, inputSchema: { text: z.string() } }, ({ text }) => textResult(text));
  server.registerTool('delete_repo', { ...tools.delete_repo, inputSchema: { name: z.string() } }, ({ name }) =>
    textResult(`Pretended to delete ${name}.`),
  );
  server.registerResource('about', about.uri, { mimeType: 'text/plain' }, () => ({ contents: [{ ...about }] }));
  server.registerPrompt('greet', { argsSchema: { name: z.string() } }, ({ name }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: greeting(name) } }],
  }));
  return server;
}
