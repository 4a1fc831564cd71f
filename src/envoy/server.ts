import { chmodSync } from 'node:fs';
import {
  experimental,
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerUnaryCall,
  status,
} from '@grpc/grpc-js';
import type { Log } from '../core/ports.ts';
import { removeStaleSocket } from '../core/unix-socket.ts';
import type { Check } from './ext-authz.ts';
import type { Process } from './ext-proc.ts';
import type { HealthService } from './health.ts';

export interface GrpcTls {
  /** PEM files; read again when they change. */
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string;
}

export interface GrpcOptions {
  /** `host:port` or `unix:/path`. */
  readonly address: string;
  readonly tls: GrpcTls | undefined;
  /** Largest message accepted, in bytes; Envoy sends bodies inside. */
  readonly maxMessage: number;
}

export interface RunningServer {
  /** The address it really listens on: port 0 is replaced. */
  readonly address: string;
  /** Takes no new calls, lets those in flight finish, cuts what is left after `limitMs`. */
  drain(limitMs: number): Promise<void>;
}

const identity = (bytes: Buffer): Buffer => bytes;

/** gRPC methods of ext_authz and ext_proc; requests and responses stay bytes (docs/performance.md). */
const AUTHORIZATION = {
  Check: {
    path: '/envoy.service.auth.v3.Authorization/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
} as const;

const EXTERNAL_PROCESSOR = {
  Process: {
    path: '/envoy.service.ext_proc.v3.ExternalProcessor/Process',
    requestStream: true,
    responseStream: true,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
} as const;

/**
 * The gRPC listener. Who may call it decides everything, so it stands on loopback, a unix socket or mutual TLS
 * (V-30, checked before this is called).
 * @throws when the address cannot be bound
 */
export async function startGrpc(
  options: GrpcOptions,
  services: { check: Check; process: Process; health: HealthService },
  log: Log,
): Promise<RunningServer> {
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessage,
    'grpc.max_send_message_length': options.maxMessage,
    'grpc.enable_channelz': 0,
  });
  server.addService(AUTHORIZATION, { Check: unary(services.check, log) });
  server.addService(EXTERNAL_PROCESSOR, { Process: services.process });
  services.health.register(server);

  const socketPath = options.address.startsWith('unix:') ? options.address.slice('unix:'.length) : undefined;
  if (socketPath) await removeStaleSocket(socketPath);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(options.address, credentials(options.tls), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  if (socketPath) chmodSync(socketPath, 0o660);
  return {
    address: socketPath ? options.address : options.address.replace(/:\d+$/, `:${port}`),
    drain: (limitMs) =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.forceShutdown(), limitMs);
        server.tryShutdown(() => {
          clearTimeout(cut);
          resolve();
        });
      }),
  };
}

function unary(check: Check, log: Log) {
  return (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void => {
    const aborter = new AbortController();
    let answered = false;
    // grpc-js says so at the end of every call, answered ones too; an error and an event each are a tenth of a hit.
    call.on('cancelled', () => {
      if (!answered) aborter.abort(new Error('the call was cancelled or its deadline passed'));
    });
    const answer = (bytes: Buffer): void => {
      answered = true;
      callback(null, bytes);
    };
    const fail = (error: unknown): void => {
      answered = true;
      log.error('a Check call failed', { error: error instanceof Error ? error.message : String(error) });
      callback({ code: status.INTERNAL, details: 'internal error' });
    };
    try {
      const response = check(call.request, aborter.signal, call.metadata);
      if (response instanceof Promise) response.then(answer, fail);
      else answer(response);
    } catch (error) {
      fail(error);
    }
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
