import { WireReader } from './codec/wire-reader.ts';
import { RPC_STATUS, RpcError, type RpcMethods } from './rpc.ts';

/** Whether the service is ready, as the gRPC health protocol asks it. */
export interface Readiness {
  readonly ready: boolean;
  watch(tell: (ready: boolean) => void): () => void;
}

/** Services whose health may be asked for; the empty name is the whole server. */
const KNOWN = new Set(['', 'envoy.service.auth.v3.Authorization', 'envoy.service.ext_proc.v3.ExternalProcessor']);

/** HealthCheckResponse: `status` is field 1 (https://grpc.io/docs/guides/health-checking/). */
const answerOf = (status: number): Buffer => Buffer.from([0x08, status]);
const SERVING = answerOf(1);
const NOT_SERVING = answerOf(2);
const SERVICE_UNKNOWN = answerOf(3);

/**
 * `grpc.health.v1.Health`: Check and Watch follow readiness.
 * @param onCheck told of each Check: the connection it came from and what it was answered
 */
export function createHealthService(
  readiness: Readiness,
  onCheck: (peer: string, ready: boolean) => void = () => {},
): RpcMethods {
  const serving = (): Buffer => (readiness.ready ? SERVING : NOT_SERVING);
  return new Map([
    [
      '/grpc.health.v1.Health/Check',
      {
        kind: 'unary',
        handle(request, { peer }) {
          if (!KNOWN.has(serviceOf(request))) throw new RpcError(RPC_STATUS.NOT_FOUND, 'unknown service');
          onCheck(peer, readiness.ready);
          return serving();
        },
      },
    ],
    [
      '/grpc.health.v1.Health/Watch',
      {
        kind: 'stream',
        handle(outlet) {
          let stop: (() => void) | undefined;
          return {
            message(request) {
              if (stop) throw new RpcError(RPC_STATUS.UNIMPLEMENTED, 'more than one request message');
              const known = KNOWN.has(serviceOf(request));
              stop = known ? readiness.watch(() => outlet.send(serving())) : () => {};
              outlet.send(known ? serving() : SERVICE_UNKNOWN);
            },
            end() {
              if (!stop) throw new RpcError(RPC_STATUS.UNIMPLEMENTED, 'no request message');
            },
            closed: () => stop?.(),
          };
        },
      },
    ],
  ]);
}

/** HealthCheckRequest: `service` is field 1; proto3 leaves an empty text out, as Envoy does. */
function serviceOf(request: Buffer): string {
  const reader = new WireReader(request);
  let service = '';
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 === 1) service = reader.utf8(tag);
    else reader.skip(tag);
  }
  return service;
}
