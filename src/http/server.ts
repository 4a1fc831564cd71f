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

/**
 * How large request heads may be (Envoy's own limit is 60 KiB) and how long a peer may take, in milliseconds, so that
 * slow or huge requests cost little.
 */
const LIMITS = {
  maxHeaderSize: 32 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 60_000,
  /** How often it is looked whether somebody takes longer; Node's own is half a minute. */
  connectionsCheckingInterval: 5_000,
};
/** Connections at a time; further ones are closed. Those that do nothing end by the limits above. */
const MAX_CONNECTIONS = 4_096;

/**
 * An HTTP listener for people, clients and probes.
 * @param address `host:port` or `unix:/path` (mode 0660)
 * @throws when the address cannot be bound
 */
export async function startHttp(
  address: string,
  handlers: readonly Handler[],
  log: Log,
  limits: typeof LIMITS = LIMITS,
): Promise<HttpServer> {
  const server = createServer(limits, (request, response) => {
    void answer(request, response);
  });
  server.maxConnections = MAX_CONNECTIONS;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('x-content-type-options', 'nosniff');
    try {
      const url = URL.parse(request.url ?? '/', 'http://localhost');
      if (!url) return sendJson(response, 400, { error: 'bad_request' }); // `//` and its like
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
