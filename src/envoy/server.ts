import { chmodSync } from 'node:fs';
import type { Log } from '../core/ports.ts';
import { removeStaleSocket } from '../core/unix-socket.ts';
import type { Check } from './ext-authz.ts';
import { listenHttp2 } from './grpc-http2.ts';
import { listenGrpcJs } from './grpc-js.ts';
import type { ListenOptions, RpcMethods, RunningServer, StreamHandler } from './rpc.ts';

export interface GrpcOptions extends ListenOptions {
  readonly transport: keyof typeof TRANSPORTS;
}

/** What can carry our calls; both pass test/contract/transport-suite.ts. */
const TRANSPORTS = { http2: listenHttp2, 'grpc-js': listenGrpcJs } as const;

/**
 * The gRPC listener. Who may call it decides everything, so it stands on loopback, a unix socket or mutual TLS
 * (V-30, checked before this is called).
 * @throws when the address cannot be bound
 */
export async function startGrpc(
  options: GrpcOptions,
  services: { check: Check; process: StreamHandler; health: RpcMethods },
  log: Log,
): Promise<RunningServer> {
  const methods: RpcMethods = new Map([
    [
      '/envoy.service.auth.v3.Authorization/Check',
      { kind: 'unary', handle: (request, { signal, metadata }) => services.check(request, signal, metadata) },
    ],
    ['/envoy.service.ext_proc.v3.ExternalProcessor/Process', { kind: 'stream', handle: services.process }],
    ...services.health,
  ]);
  const socketPath = options.address.startsWith('unix:') ? options.address.slice('unix:'.length) : undefined;
  if (socketPath) await removeStaleSocket(socketPath);
  const transport = await TRANSPORTS[options.transport](options, methods, log);
  if (socketPath) chmodSync(socketPath, 0o660);
  return transport;
}
