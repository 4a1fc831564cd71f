import { sameHost } from '../envoy-config/clusters.ts';
import { type AuthzUse, authzOn, destinationOf, type ProcUse, procOn } from '../envoy-config/effective.ts';
import type { Connections, EnvoyModel, HttpFilter, RouteUse } from '../envoy-config/model.ts';
import type { Node } from '../envoy-config/node.ts';
import { NAMESPACE } from '../route-policy.ts';
import type { Limits } from './context.ts';

/** The filters of one chain that call this service. */
export interface OwnFilters {
  readonly authz: readonly HttpFilter[];
  readonly proc: readonly HttpFilter[];
  /** Whom they call; a route may send its calls elsewhere. */
  readonly destinations: ReadonlySet<string>;
}

/**
 * Tells the filters that call this service from others of their kind.
 * ext_authz: those that forward `mcp.identity` or call `server.grpc`. Where a chain has routes with policies and none
 * of its ext_authz filters does either, all of them are taken for ours, so that what is missing can be told.
 * ext_proc: those that call what our ext_authz calls, or `server.grpc`.
 */
export function ownFilters(
  connections: Connections,
  hasPolicies: boolean,
  model: EnvoyModel,
  limits: Limits,
): OwnFilters {
  const authz = connections.filters.filter((filter) => filter.kind === 'ext_authz');
  const service = (filter: HttpFilter) => filter.config.get('grpc_service');
  const known = authz.filter((filter) => forwardsPolicy(filter) || callsUs(service(filter), model, limits));
  const own = known.length > 0 || !hasPolicies ? known : authz;
  const destinations = new Set(own.map((filter) => destinationOf(service(filter))).filter((text) => text !== ''));
  const proc = connections.filters.filter(
    (filter) =>
      filter.kind === 'ext_proc' &&
      (destinations.has(destinationOf(service(filter))) || callsUs(service(filter), model, limits)),
  );
  return { authz: own, proc, destinations };
}

export function forwardsPolicy(filter: HttpFilter): boolean {
  return filter.config.get('route_metadata_context_namespaces').texts().includes(NAMESPACE);
}

function callsUs(service: Node, model: EnvoyModel, limits: Limits): boolean {
  const target = service.at('google_grpc', 'target_uri').text();
  if (target) return sameHost(target) === limits.grpcAddress;
  return model.endpoints(service.at('envoy_grpc', 'cluster_name').text()).includes(limits.grpcAddress);
}

/** Our filters on one route. One whose calls the route sends to another service does not run there for us. */
export function filtersOn(
  route: RouteUse,
  own: OwnFilters,
  model: EnvoyModel,
  limits: Limits,
): { authz: AuthzUse[]; proc: ProcUse[] } {
  const ours = <T extends AuthzUse | ProcUse>(use: T): T => {
    const elsewhere =
      use.rerouted && !own.destinations.has(destinationOf(use.service)) && !callsUs(use.service, model, limits);
    return elsewhere ? { ...use, runs: 'no', switchedAt: use.service } : use;
  };
  return {
    authz: own.authz.map((filter) => ours(authzOn(filter, route))),
    proc: own.proc.map((filter) => ours(procOn(filter, route))),
  };
}
