import { lookup } from 'node:dns/promises';
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type ServerHttp2Session,
} from 'node:http2';
import { isIP, type Socket } from 'node:net';
import type { Log } from '../core/ports.ts';
import { answerCall, type CallLimits } from './grpc-call.ts';
import { keepTlsFresh, readTls } from './grpc-tls.ts';
import type { ListenOptions, RpcMethods, RunningServer } from './rpc.ts';

/** Limits on what one connection may make us hold or do. */
const CONNECTION = {
  settings: {
    // An Envoy that needs more opens another connection. ext_proc streams last as long as their answers.
    maxConcurrentStreams: 4096,
    maxHeaderListSize: 16 * 1024,
    enablePush: false,
  },
  /** Megabytes: answers that wait to be taken, mostly. Beyond, new calls are refused. */
  maxSessionMemory: 256,
  // Node's own are 1,000 and 33 a second, and whoever exceeds them loses the connection with everybody's calls on it.
  // Envoy resets a stream for each client that goes away, and without graceful closing one for each request with
  // ext_proc (test/e2e/transport.test.ts).
  streamResetBurst: 20_000,
  streamResetRate: 10_000,
};
/** How long peers may take, in milliseconds, and how often their state and that of files is looked at. */
export interface Patience extends Omit<CallLimits, 'maxMessage'> {
  readonly rereadMs: number;
  /** To begin to speak HTTP/2, TLS included. */
  readonly greetingMs: number;
  /** How often a connection is asked whether it is still there. */
  readonly askEveryMs: number;
  /** To answer that. */
  readonly answerMs: number;
}

const PATIENCE: Patience = {
  rereadMs: 10_000,
  greetingMs: 10_000,
  askEveryMs: 60_000,
  answerMs: 20_000,
  unaryMs: 60_000, // Envoy names shorter times with each call
  messageMs: 60_000,
  leaveMs: 1_000,
};

/**
 * gRPC on Node's own HTTP/2: half the price of a call on @grpc/grpc-js (docs/performance.md). Framing, streams, flow
 * control and floods are nghttp2's; what is left are the rules of gRPC (grpc-call.ts) and the care for connections.
 */
export async function listenHttp2(
  options: ListenOptions,
  methods: RpcMethods,
  log: Log,
  patience: Patience = PATIENCE,
): Promise<RunningServer> {
  const { tls } = options;
  const limits: CallLimits = { ...patience, maxMessage: options.maxMessage };
  const server: Http2Server = tls
    ? createSecureServer({
        ...CONNECTION,
        ...readTls(tls),
        // Whoever has no certificate of ours gets no further than the handshake.
        requestCert: true,
        rejectUnauthorized: true,
        handshakeTimeout: patience.greetingMs,
      })
    : createServer(CONNECTION);
  const sockets = new Set<Socket>();
  server.on('stream', (stream, headers) => answerCall(stream, headers, methods, limits, log));
  server.on('session', (session) => watchOver(session, patience));
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('sessionError', (error) => log.debug('a gRPC connection broke', { error: error.message }));

  const address = await bind(server, options.address);
  const stopReading = tls ? keepTlsFresh(server as Http2SecureServer, tls, patience.rereadMs, log) : () => {};
  return {
    address,
    drain: (limitMs) =>
      new Promise((resolve) => {
        stopReading();
        const cut = setTimeout(() => {
          for (const socket of sockets) socket.destroy();
        }, limitMs);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
      }),
  };
}

/**
 * Ends connections that never speak HTTP/2, and those whose other end has gone without a word. Node itself leaves one
 * open on which an error follows a GOAWAY (test/property/transport-fuzz.test.ts).
 */
function watchOver(session: ServerHttp2Session, { greetingMs, askEveryMs, answerMs }: Patience): void {
  const greeting = setTimeout(() => session.destroy(), greetingMs);
  session.once('remoteSettings', () => clearTimeout(greeting));
  let silent: NodeJS.Timeout | undefined;
  const asking = setInterval(() => {
    if (session.destroyed) return;
    silent = setTimeout(() => session.destroy(), answerMs);
    session.settings({}, () => clearTimeout(silent)); // what PING is for, but Node sends none while a connection winds up
  }, askEveryMs);
  session.once('close', () => {
    clearTimeout(greeting);
    clearInterval(asking);
    clearTimeout(silent);
  });
}

async function bind(server: Http2Server, address: string): Promise<string> {
  const path = address.startsWith('unix:') ? address.slice('unix:'.length) : undefined;
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const at = path === undefined ? { host: await numeric(host), port: Number(address.slice(colon + 1)) } : { path };
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const bound = server.address();
  return typeof bound === 'object' && bound ? `${address.slice(0, colon)}:${bound.port}` : address;
}

/** The IPv4 address of a name when there is one: `localhost` is what Envoy's 127.0.0.1 reaches. */
async function numeric(host: string): Promise<string> {
  return isIP(host) > 0 ? host : (await lookup(host, { order: 'ipv4first' })).address;
}
