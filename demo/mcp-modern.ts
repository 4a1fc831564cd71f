import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { about, describeCaller, greeting, textResult, tools } from './mcp-content.ts';
import type { McpBackendOptions } from './mcp-legacy.ts';
import { listenWeb } from './web-server.ts';
import type { Running } from './web-server.ts';

/**
 * An MCP server of revision 2026-07-28 at `<url>/mcp`: no session, no `initialize`, one `McpServer` per request.
 * The SDK also answers older clients, one request at a time and without sessions.
 */
export async function startModernBackend(options: McpBackendOptions): Promise<Running> {
  const mcp = createMcpHandler(createServer);

  const running = await listenWeb(async (request) => {
    if (new URL(request.url).pathname === '/mcp') return mcp.fetch(request);
    return new Response('the MCP endpoint is /mcp\n', { status: 404 });
  }, options);
  return {
    url: running.url,
    async stop() {
      await mcp.close();
      await running.stop();
    },
  };
}

function createServer(): McpServer {
  const server = new McpServer({ name: 'demo-modern', version: '1.0.0' });

  server.registerTool('whoami', tools.whoami, ({ http, mcpReq }) =>
    textResult(describeCaller(Object.fromEntries(http?.req?.headers ?? []), mcpReq._meta)),
  );
  server.registerTool('echo', { ...tools.echo, inputSchema: z.object({ text: z.string() }) }, ({ text }) =>
    textResult(text),
  );
  server.registerTool(
    'delete_repo',
    { ...tools.delete_repo, inputSchema: z.object({ name: z.string() }) },
    ({ name }) => textResult(`Pretended to delete ${name}.`),
  );
  server.registerResource('about', about.uri, { mimeType: 'text/plain' }, () => ({ contents: [{ ...about }] }));
  server.registerPrompt('greet', { argsSchema: z.object({ name: z.string() }) }, ({ name }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: greeting(name) } }],
  }));
  return server;
}
