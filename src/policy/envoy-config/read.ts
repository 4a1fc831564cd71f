import type { Problem } from '../../core/problem.ts';
import type { SourceDocument } from '../../core/source-document.ts';
import { readClusters } from './clusters.ts';
import { readFilters } from './filters.ts';
import type { Connections, EnvoyModel, RouteTable, RouteUse, Unseen } from './model.ts';
import { Node, unpack } from './node.ts';
import { FROM_ADMIN, readRoutes } from './routes.ts';
import { readRuntime } from './runtime.ts';
import { readSources, type Sources } from './sources.ts';

const MANAGER = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/**
 * Reads an Envoy bootstrap, or the answer of `/config_dump`, into one model.
 * @returns a problem when the document is neither
 */
export function readEnvoyConfig(document: SourceDocument): EnvoyModel | Problem {
  const root = new Node(document.value);
  const sources = readSources(root);
  if (sources.listeners.length === 0 && !sources.dynamic.there) {
    return {
      code: 'FILE',
      severity: 'error',
      file: document.file,
      path: [],
      message: 'holds no Envoy listener',
      mend: 'name an Envoy bootstrap, or a saved /config_dump',
    };
  }
  const unseen: Unseen[] = [];
  if (sources.listeners.length === 0 || (sources.dynamic.there && !sources.running)) {
    unseen.push({ node: sources.dynamic, message: 'listeners come from a control plane', mend: FROM_ADMIN });
  }
  const connections: Connections[] = [];
  const routes: RouteUse[] = [];
  const tables: RouteTable[] = [];
  for (const listener of sources.listeners) {
    for (const manager of managersOf(listener, unseen)) {
      const one = readManager(manager, listener, sources, unseen);
      connections.push(one);
      for (const table of tablesOf(manager, sources, unseen)) {
        tables.push({ connections: one, node: table });
        for (const route of readRoutes(table, one, unseen)) routes.push(route);
      }
    }
  }
  return {
    document,
    connections,
    routes,
    tables,
    unseen,
    endpoints: readClusters(sources.clusters),
    runtime: readRuntime(sources.bootstrap),
  };
}

/** The HTTP connection managers of a listener, one per filter chain. */
function managersOf(listener: Node, unseen: Unseen[]): Node[] {
  const chains = [...listener.get('filter_chains').items(), listener.get('default_filter_chain')];
  const filters = chains.flatMap((chain) => chain.get('filters').items());
  for (const node of filters.filter((filter) => filter.get('config_discovery').there)) {
    unseen.push({ node, message: 'a network filter comes from a control plane', mend: FROM_ADMIN });
  }
  const configs = filters.map((filter) => filter.get('typed_config'));
  return [...configs, listener.at('api_listener', 'api_listener')].flatMap((config) => {
    const { type, message } = unpack(config);
    return type === MANAGER ? [message] : [];
  });
}

function readManager(manager: Node, listener: Node, sources: Sources, unseen: Unseen[]): Connections {
  const { filters, unseen: hidden } = readFilters(manager.get('http_filters'), sources.discovered);
  unseen.push(...hidden);
  const upgrades = manager
    .get('upgrade_configs')
    .items()
    .filter((upgrade) => upgrade.get('filters').items().length > 0);
  return {
    manager,
    listener,
    filters,
    upgrades: upgrades.map((node) => ({
      node,
      type: node.get('upgrade_type').text(),
      filters: readFilters(node.get('filters'), sources.discovered).filters,
    })),
  };
}

/** The route tables of a connection manager: its own, one found by name, or those of its scopes. */
function tablesOf(manager: Node, sources: Sources, unseen: Unseen[]): Node[] {
  const own = manager.get('route_config');
  if (own.there) return [own];
  const scoped = manager.get('scoped_routes');
  if (scoped.there) {
    const scopes = scoped.at('scoped_route_configurations_list', 'scoped_route_configurations').items();
    if (scopes.length === 0)
      unseen.push({
        node: scoped,
        message: 'route scopes come from a control plane',
        mend: 'read them with the control plane’s own tools: /config_dump is not enough here',
      });
    return scopes.flatMap((scope) =>
      scope.get('route_configuration').there
        ? [scope.get('route_configuration')]
        : byName(scope.get('route_configuration_name'), sources, unseen),
    );
  }
  return byName(manager.at('rds', 'route_config_name'), sources, unseen);
}

function byName(name: Node, sources: Sources, unseen: Unseen[]): Node[] {
  const table = sources.tables.get(name.text());
  if (table) return [table];
  unseen.push({
    node: name,
    message: `the route table \`${name.text()}\` comes from a control plane, so its routes are not checked`,
    mend: FROM_ADMIN,
  });
  return [];
}
