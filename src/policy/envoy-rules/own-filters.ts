import { sameHost } from '../envoy-config/clusters.ts';
import { type AuthzUse, authzOn, type ProcUse, procOn } from '../envoy-config/effective.ts';
import type { Connections, EnvoyModel, HttpFilter, RouteUse } from '../envoy-config/model.ts';
import type { Node } from '../envoy-config/node.ts';
import { NAMESPACE } from '../route-policy.ts';
import type { Limits } from './context.ts';

/** The filters of one chain that call this service. */
export interface OwnFilters {
  readonly authz: readonly HttpFilter[];
  readonly proc: readonly HttpFilter[];
  /** True for a service setting that leads to us, too. */
  readonly called: (service: Node) => boolean;
}

/**
 * Tells the filters that call this service from others of their kind.
 * ext_authz: those that forward `mcp.identity` or call `server.grpc`. Where a chain has routes with policies and none
 * of its ext_authz filters does either, all of them are taken for ours, so that what is missing can be told.
 * ext_proc: those that call what our ext_authz calls, by the name of the cluster or an endpoint of it, or `server.grpc`.
 */
export function ownFilters(
  connections: Connections,
  hasPolicies: boolean,
  model: EnvoyModel,
  limits: Limits,
): OwnFilters {
  const leadsTo = (service: Node, places: ReadonlySet<string>) =>
    placesOf(service, model).some((place) => places.has(place));
  const us = new Set([limits.grpcAddress]);
  const authz = connections.filters.filter((filter) => filter.kind === 'ext_authz');
  const known = authz.filter((filter) => forwardsPolicy(filter) || leadsTo(serviceOf(filter), us));
  const own = known.length > 0 || !hasPolicies ? known : authz;
  const places = new Set([...us, ...own.flatMap((filter) => placesOf(serviceOf(filter), model))]);
  const called = (service: Node) => leadsTo(service, places);
  const proc = connections.filters.filter((filter) => filter.kind === 'ext_proc' && called(serviceOf(filter)));
  return { authz: own, proc, called };
}

export function forwardsPolicy(filter: HttpFilter): boolean {
  return filter.config.get('route_metadata_context_namespaces').texts().includes(NAMESPACE);
}

function serviceOf(filter: HttpFilter): Node {
  return filter.config.get('grpc_service');
}

/** Names under which two gRPC service settings can be seen to be the same: the cluster, its endpoints, the address. */
function placesOf(service: Node, model: EnvoyModel): string[] {
  const cluster = service.at('envoy_grpc', 'cluster_name').text();
  if (cluster) return [`cluster ${cluster}`, ...model.endpoints(cluster)];
  const target = service.at('google_grpc', 'target_uri').text();
  return target ? [sameHost(target)] : [];
}

/** Our filters on one route. One whose calls the route sends to another service does not run there for us. */
export function filtersOn(route: RouteUse, own: OwnFilters): { authz: AuthzUse[]; proc: ProcUse[] } {
  const ours = <T extends AuthzUse | ProcUse>(use: T): T =>
    use.rerouted && !own.called(use.service) ? { ...use, runs: 'no', switchedAt: use.service } : use;
  return {
    authz: own.authz.map((filter) => ours(authzOn(filter, route))),
    proc: own.proc.map((filter) => ours(procOn(filter, route))),
  };
}
