import type { AuthzUse, ProcUse } from '../envoy-config/effective.ts';
import type { EnvoyModel, RouteUse } from '../envoy-config/model.ts';
import type { RoutePolicy } from '../route-policy.ts';
import type { World } from '../world.ts';
import type { Finding } from './finding.ts';

/** What the config file says that matters to Envoy. */
export interface Limits {
  /** Bytes of the largest body the service reads. */
  readonly maxBody: number;
  /** `server.grpc`, comparable with endpoint addresses. */
  readonly grpcAddress: string;
}

/** A route with a policy of the right shape, and the filters of ours in front of it. */
export interface RouteContext {
  readonly model: EnvoyModel;
  readonly world: World;
  readonly limits: Limits;
  readonly route: RouteUse;
  readonly policy: RoutePolicy;
  readonly authz: readonly AuthzUse[];
  readonly proc: readonly ProcUse[];
}

export type EnvoyRule = (context: RouteContext) => Finding[];
