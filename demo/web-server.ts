import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** A demo server that runs: where it listens, and how to end it. `stop` also cuts open streams. */
export interface Running {
  readonly url: string;
  stop(): Promise<void>;
}

export interface ListenOptions {
  /** 0 lets the system choose. */
  readonly port: number;
  /** Address to listen on; default 127.0.0.1. `url` names 127.0.0.1 all the same. */
  readonly host?: string | undefined;
}

/** What arrived, before anybody looked at it: headers as `node:http` gives them, and the body as text. */
export type OnRequest = (headers: IncomingHttpHeaders, body: string) => void;

const maxBodyBytes = 4 * 1024 * 1024;

/** Listens, and resolves once connections are accepted; rejects with the system's error, `EADDRINUSE` for one. */
export async function listen(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  { port, host = '127.0.0.1' }: ListenOptions,
): Promise<Running> {
  const server = createServer(handle);
  server.listen(port, host);
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/**
 * Serves a web-standard handler, which both MCP SDKs have, over `node:http`.
 * The body is read whole first, so that `onRequest` sees what the handler sees. More than 4 MiB: 413.
 */
export function listenWeb(
  handle: (request: Request) => Promise<Response>,
  options: ListenOptions & { readonly onRequest?: OnRequest | undefined },
): Promise<Running> {
  return listen(webHandler(handle, options.onRequest), options);
}

/** The same for a server that has other things to serve, too. */
export function webHandler(handle: (request: Request) => Promise<Response>, onRequest: OnRequest | undefined) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    answer(handle, onRequest, request, response).catch((error: unknown) => {
      // A client that left in the middle of a stream is no fault of ours and has nobody to answer to.
      if (!response.headersSent && !response.destroyed) response.writeHead(500).end();
      if (!response.destroyed) console.error(error);
    });
  };
}

async function answer(
  handle: (request: Request) => Promise<Response>,
  onRequest: OnRequest | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readBody(request);
  if (body === undefined) {
    response.writeHead(413, { connection: 'close' }).end();
    return;
  }
  onRequest?.(request.headers, body.toString('utf8'));

  // Without this, a GET stream whose client is gone would stay open in the SDK for good.
  const gone = new AbortController();
  response.once('close', () => gone.abort());

  const reply = await handle(toWebRequest(request, body, gone.signal));
  response.writeHead(reply.status, Object.fromEntries(reply.headers));
  // An event stream may stay silent for long; its headers must not wait for the first event.
  response.flushHeaders();
  if (reply.body === null) response.end();
  else await pipeline(Readable.fromWeb(reply.body), response);
}

function toWebRequest(request: IncomingMessage, body: Buffer, signal: AbortSignal): Request {
  const headers = new Headers();
  for (let i = 0; i < request.rawHeaders.length; i += 2)
    headers.append(request.rawHeaders[i]!, request.rawHeaders[i + 1]!);
  const method = request.method ?? 'GET';
  const url = new URL(request.url ?? '/', `http://${request.headers.host ?? '127.0.0.1'}`);
  // fetch forbids a body on GET and HEAD.
  const carriesBody = method !== 'GET' && method !== 'HEAD';
  return new Request(url, {
    method,
    headers,
    signal,
    ...(carriesBody ? { body: new Uint8Array(body) } : {}),
  });
}

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
