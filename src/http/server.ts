import { chmodSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { removeStaleSocket } from '../core/unix-socket.ts';
import type { Log } from '../core/ports.ts';

/** Answers one request, or says that the path is not its own. */
export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => boolean | Promise<boolean>;

export interface HttpServer {
  /** The address it really listens on: port 0 is replaced. */
  readonly address: string;
  close(limitMs: number): Promise<void>;
}

/** How large request heads may be and how long a peer may take, so that slow or huge requests cost little. */
const LIMITS = { maxHeaderSize: 32 * 1024, headersTimeout: 10_000, requestTimeout: 15_000, keepAliveTimeout: 60_000 };

/**
 * An HTTP listener for people, clients and probes.
 * @param address `host:port` or `unix:/path` (mode 0660)
 * @throws when the address cannot be bound
 */
export async function startHttp(address: string, handlers: readonly Handler[], log: Log): Promise<HttpServer> {
  const server = createServer(LIMITS, (request, response) => {
    void answer(request, response);
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('x-content-type-options', 'nosniff');
    try {
      const url = new URL(request.url ?? '/', 'http://localhost');
      for (const handler of handlers) if (await handler(request, response, url)) return;
      sendJson(response, 404, { error: 'not_found' });
    } catch (error) {
      log.error('an HTTP request failed', {
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
      if (response.headersSent) response.destroy();
      else sendJson(response, 500, { error: 'server_error' });
    }
  }

  const socketPath = address.startsWith('unix:') ? address.slice('unix:'.length) : undefined;
  if (socketPath) await removeStaleSocket(socketPath);
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath ? { path: socketPath } : { host, port: Number(address.slice(colon + 1)) }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  if (socketPath) chmodSync(socketPath, 0o660);
  const bound = server.address();
  return {
    address: typeof bound === 'object' && bound ? `${address.slice(0, colon)}:${bound.port}` : address,
    close: (limitMs) =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), limitMs);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}
