import { NAMESPACE } from '../route-policy.ts';
import type { Connections, Override, RouteUse, Unseen } from './model.ts';
import { type Node, unpack } from './node.ts';
import { readOverrides } from './overrides.ts';

type Level = ReadonlyMap<string, Override>;

/** Every route of a route table as `connections` sees it. */
export function readRoutes(table: Node, connections: Connections, unseen: Unseen[]): RouteUse[] {
  if (table.get('vhds').there)
    unseen.push({
      node: table,
      message: 'virtual hosts of this route table come from a control plane',
      mend: FROM_ADMIN,
    });
  const tableLevel = readOverrides(table);
  return table
    .get('virtual_hosts')
    .items()
    .flatMap((virtualHost) => {
      const levels = [readOverrides(virtualHost), tableLevel];
      const routes = [...virtualHost.get('routes').items(), ...routesInMatcher(virtualHost.get('matcher'))];
      return routes.flatMap((node) => {
        if (node.get('route_specifiers').there)
          unseen.push({
            node,
            message: 'a plugin may replace this route for each request',
            mend: 'make sure that it keeps the filters and metadata of the route',
          });
        return readRoute(node, virtualHost, levels, connections);
      });
    });
}

export const FROM_ADMIN = 'check the running Envoy: set `envoy.admin`, or check a saved /config_dump';

function readRoute(node: Node, virtualHost: Node, outer: readonly Level[], connections: Connections): RouteUse[] {
  const own = readOverrides(node);
  const name = nameOf(node);
  // Only `Route.metadata` reaches ext_authz; metadata of clusters and virtual hosts does not.
  const policy = node.at('metadata', 'filter_metadata').entry(NAMESPACE);
  const use = (levels: readonly Level[], suffix: string): RouteUse => ({
    connections,
    node,
    virtualHost,
    name,
    label: `${name}${suffix}`,
    forwards: node.get('route').there,
    policy,
    overrides: (filter) => levels.flatMap((level) => level.get(filter) ?? []),
  });
  const weighted = node.at('route', 'weighted_clusters', 'clusters').items();
  const withOwn = weighted.filter((cluster) => cluster.get('typed_per_filter_config').there);
  if (withOwn.length === 0) return [use([own, ...outer], '')];
  const uses = withOwn.map((cluster) =>
    use([readOverrides(cluster), own, ...outer], `, weighted cluster ${cluster.get('name').text()}`),
  );
  return withOwn.length < weighted.length ? [use([own, ...outer], ''), ...uses] : uses;
}

/** Routes in a matcher tree stand in its actions, as messages of their own. */
function* routesInMatcher(node: Node): Iterable<Node> {
  const { type, message } = unpack(node);
  if (type === 'envoy.config.route.v3.Route') yield message;
  else if (type === 'envoy.config.route.v3.RouteList') yield* message.get('routes').items();
  else
    for (const child of [...node.items(), ...node.entries().map(([, entry]) => entry)]) yield* routesInMatcher(child);
}

const PATHS = ['path', 'prefix', 'path_separated_prefix'];

function nameOf(node: Node): string {
  const given = node.get('name').text();
  if (given) return given;
  const match = node.get('match');
  for (const kind of PATHS) if (match.get(kind).text()) return `${match.get(kind).text()}${kind === 'path' ? '' : '*'}`;
  const regex = match.at('safe_regex', 'regex').text();
  return regex ? `~${regex}` : 'without a path';
}
