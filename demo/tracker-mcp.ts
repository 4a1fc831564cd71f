import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { describeCaller, textResult } from './mcp-content.ts';
import type { TrackerAccount } from './tracker-accounts.ts';

/** What the tracker knows of a token it has issued, while it is good. */
export interface TrackerToken {
  readonly account: TrackerAccount;
  readonly ageSeconds: number;
  readonly leftSeconds: number;
}

/** Whose token it is; undefined when it was never issued, is over or revoked. */
export type FindToken = (accessToken: string) => Promise<TrackerToken | undefined>;

/**
 * The tracker's MCP server: it knows nothing of the identity provider, only its own tokens. Everybody may look at
 * what it offers; calling a tool takes a token (401), as at most services that have both OAuth and MCP.
 */
export function createTrackerMcp(findToken: FindToken) {
  const mcp = createMcpHandler(() => createServer(findToken));
  return {
    async handle(request: Request): Promise<Response> {
      const calls = /"method"\s*:\s*"tools\/call"/.test(await request.clone().text());
      if (calls && (await findToken(bearerOf(request.headers))) === undefined)
        return new Response('no token, or none that is good\n', {
          status: 401,
          headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
        });
      return mcp.fetch(request);
    },
    close: () => mcp.close(),
  };
}

function createServer(findToken: FindToken): McpServer {
  const server = new McpServer({ name: 'demo-tracker', version: '1.0.0' });

  server.registerTool(
    'whoami',
    { description: 'Shows whose account of the tracker this is, and what else reached this backend.' },
    async ({ http }) => {
      const headers = http?.req?.headers ?? new Headers();
      const token = await findToken(bearerOf(headers));
      const account =
        token === undefined
          ? 'tracker account: none'
          : `tracker account: ${token.account.sub}\ntoken of the tracker: ${token.ageSeconds} s old, good for ${token.leftSeconds} s more`;
      return textResult(`${account}\n${describeCaller(Object.fromEntries(headers))}`);
    },
  );
  server.registerTool('my_issues', { description: 'Lists the issues of whoever calls.' }, async ({ http }) => {
    const token = await findToken(bearerOf(http?.req?.headers ?? new Headers()));
    return textResult(token?.account.issues.map((issue) => `- ${issue}`).join('\n') ?? 'none');
  });
  return server;
}

function bearerOf(headers: Headers): string {
  return /^Bearer (.+)$/.exec(headers.get('authorization') ?? '')?.[1] ?? '';
}
