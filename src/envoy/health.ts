import { loadSync } from '@grpc/proto-loader';
import {
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';

type Serving = 'SERVING' | 'NOT_SERVING';
type HealthRequest = { service: string };
type HealthResponse = { status: Serving | 'SERVICE_UNKNOWN' };

export interface HealthService {
  register(server: Server): void;
}

/** Whether the service is ready, as the gRPC health protocol asks it. */
export interface Readiness {
  readonly ready: boolean;
  watch(tell: (ready: boolean) => void): () => void;
}

/** Services whose health may be asked for; the empty name is the whole server. */
const KNOWN = new Set(['', 'envoy.service.auth.v3.Authorization', 'envoy.service.ext_proc.v3.ExternalProcessor']);

/**
 * `grpc.health.v1.Health`: Check and Watch follow readiness.
 * @param onCheck told of each Check: the connection it came from and what it was answered
 */
export function createHealthService(
  protoFolder: string,
  readiness: Readiness,
  onCheck: (peer: string, ready: boolean) => void = () => {},
): HealthService {
  const definitions = loadSync('grpc/health/v1/health.proto', {
    includeDirs: [protoFolder],
    enums: String,
    defaults: true, // proto3: whoever asks for the empty name sends no field at all, as Envoy does
  });
  const serving = (): Serving => (readiness.ready ? 'SERVING' : 'NOT_SERVING');
  return {
    register(server) {
      server.addService(definitions['grpc.health.v1.Health'] as ServiceDefinition, {
        Check(call: ServerUnaryCall<HealthRequest, HealthResponse>, callback: sendUnaryData<HealthResponse>) {
          if (!KNOWN.has(call.request.service)) callback({ code: status.NOT_FOUND, details: 'unknown service' });
          else {
            onCheck(call.getPeer(), readiness.ready);
            callback(null, { status: serving() });
          }
        },
        Watch(call: ServerWritableStream<HealthRequest, HealthResponse>) {
          if (!KNOWN.has(call.request.service)) {
            call.write({ status: 'SERVICE_UNKNOWN' });
            return;
          }
          call.write({ status: serving() });
          const stop = readiness.watch(() => call.write({ status: serving() }));
          call.on('cancelled', stop);
          call.on('close', stop);
        },
      });
    },
  };
}
