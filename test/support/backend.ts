import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request as the backend saw it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  /** Lower-case names; copies joined as Node joins them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

export interface Backend {
  readonly port: number;
  readonly seen: Seen[];
  /** What the next requests get; the default echoes a JSON-RPC result. */
  respond: (seen: Seen, response: ServerResponse, request: IncomingMessage) => void;
  /** The last request seen. */
  last(): Seen;
  stop(): Promise<void>;
}

/** An MCP-shaped backend that records what reaches it. */
export async function startBackend(): Promise<Backend> {
  const backend: Backend = {
    port: 0,
    seen: [],
    respond: echo,
    last() {
      const seen = backend.seen.at(-1);
      if (!seen) throw new Error('the backend saw no request');
      return seen;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const seen: Seen = {
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers as Record<string, string>,
        rawHeaders: request.rawHeaders,
        body: Buffer.concat(chunks),
      };
      backend.seen.push(seen);
      backend.respond(seen, response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(backend, { port: (server.address() as AddressInfo).port });
}

function echo(seen: Seen, response: ServerResponse): void {
  let id: unknown = null;
  try {
    id = (JSON.parse(seen.body.toString()) as { id?: unknown }).id ?? null;
  } catch {
    // not JSON: the id stays null
  }
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ jsonrpc: '2.0', id, result: { ok: true } }));
}
