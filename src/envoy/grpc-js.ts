import {
  experimental,
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
  status,
} from '@grpc/grpc-js';
import type { Log } from '../core/ports.ts';
import { answerWithinMs } from './deadline.ts';
import type { GrpcTls } from './grpc-tls.ts';
import {
  type ListenOptions,
  RpcError,
  type RpcMethods,
  type RunningServer,
  type StreamHandler,
  type UnaryHandler,
} from './rpc.ts';

const bytes = (buffer: Buffer): Buffer => buffer;

/** gRPC by @grpc/grpc-js: the transport to fall back on. */
export async function listenGrpcJs(options: ListenOptions, methods: RpcMethods, log: Log): Promise<RunningServer> {
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessage,
    'grpc.max_send_message_length': options.maxMessage,
    'grpc.enable_channelz': 0,
  });
  for (const [path, method] of methods) {
    if (method.kind === 'unary') server.register(path, unary(method.handle, log), bytes, bytes, 'unary');
    else server.register(path, duplex(method.handle, log), bytes, bytes, 'bidi');
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(options.address, credentials(options.tls), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const address = options.address.startsWith('unix:') ? options.address : options.address.replace(/:\d+$/, `:${port}`);
  return {
    address,
    drain: (limitMs) =>
      new Promise((resolve) => {
        server.drain(address, limitMs); // forceShutdown() cuts nothing without channelz
        server.tryShutdown(() => resolve());
      }),
  };
}

function asStatus(error: unknown, log: Log): { code: number; details: string } {
  if (error instanceof RpcError) return { code: error.code, details: error.message };
  log.error('a gRPC call failed', { error: error instanceof Error ? error.message : String(error) });
  return { code: status.INTERNAL, details: 'internal error' };
}

function unary(handle: UnaryHandler, log: Log) {
  return (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void => {
    const aborter = new AbortController();
    let answered = false;
    // grpc-js says so at the end of every call, answered ones too; an error and an event each are a tenth of a hit.
    call.on('cancelled', () => {
      if (!answered) aborter.abort(new Error('the call was cancelled or its deadline passed'));
    });
    const answer = (response: Buffer): void => {
      answered = true;
      callback(null, response);
    };
    const fail = (error: unknown): void => {
      answered = true;
      callback(asStatus(error, log));
    };
    try {
      const response = handle(call.request, {
        signal: aborter.signal,
        peer: call.getPeer(),
        metadata: call.metadata,
      });
      if (!(response instanceof Promise)) return answer(response);
      const leftMs = Number(call.getDeadline()) - Date.now(); // Infinity where the peer gives no deadline
      const late = () => aborter.abort(new Error('it took too long'));
      const timer = Number.isFinite(leftMs) ? setTimeout(late, answerWithinMs(leftMs)) : undefined;
      response.then(answer, fail).finally(() => clearTimeout(timer));
    } catch (error) {
      fail(error);
    }
  };
}

function duplex(handle: StreamHandler, log: Log) {
  return (call: ServerDuplexStream<Buffer, Buffer>): void => {
    let over = false;
    const guarded = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        if (!over) call.emit('error', asStatus(error, log));
        over = true;
      }
    };
    const closed = (): void => {
      if (!isClosed) guarded(() => inlet.closed());
      isClosed = true;
    };
    let isClosed = false;
    const inlet = handle(
      {
        send(message) {
          if (!over && !call.write(message)) call.pause();
        },
        end() {
          if (!over) call.end();
          over = true;
        },
        fail(code, details) {
          if (!over) call.emit('error', { code, details });
          over = true;
        },
      },
      call.metadata,
    );
    call.on('drain', () => call.resume());
    call.on('data', (message: Buffer) => {
      if (!over) guarded(() => inlet.message(message));
    });
    call.on('end', () => {
      if (!over) guarded(() => inlet.end());
    });
    call.on('cancelled', closed);
    call.on('close', closed);
    call.on('error', () => (over = true));
  };
}

function credentials(tls: GrpcTls | undefined): ServerCredentials {
  if (!tls) return ServerCredentials.createInsecure();
  const files = new experimental.FileWatcherCertificateProvider({
    certificateFile: tls.cert,
    privateKeyFile: tls.key,
    caCertificateFile: tls.clientCa,
    refreshIntervalMs: 10_000,
  });
  return experimental.createCertificateProviderServerCredentials(files, files, true);
}
