import { type Node, unpack } from './node.ts';

/** Where the parts stand, in a bootstrap or in a dump of the running configuration. */
export interface Sources {
  /** True for a dump: what a control plane sent is in it. */
  readonly running: boolean;
  readonly bootstrap: Node;
  readonly listeners: readonly Node[];
  readonly clusters: readonly Node[];
  /** Route tables by name; empty for a bootstrap. */
  readonly tables: ReadonlyMap<string, Node>;
  /** Filters by name, from ECDS. */
  readonly discovered: ReadonlyMap<string, Node>;
  /** The part of the bootstrap that says listeners are fetched. */
  readonly dynamic: Node;
}

export function readSources(root: Node): Sources {
  return root.get('configs').there ? ofDump(root) : ofBootstrap(root);
}

function ofBootstrap(root: Node): Sources {
  const resources = root.get('static_resources');
  return {
    running: false,
    bootstrap: root,
    listeners: resources.get('listeners').items(),
    clusters: resources.get('clusters').items(),
    tables: new Map(),
    discovered: new Map(),
    dynamic: root.at('dynamic_resources', 'lds_config'),
  };
}

/** envoy.admin.v3.ConfigDump. Warming and draining states are left out: they serve no new requests. */
function ofDump(root: Node): Sources {
  const configs = root.get('configs').items();
  const dump = (name: string) => configs.filter((config) => config.type() === `envoy.admin.v3.${name}`);
  const all = (name: string, list: string, ...inner: string[]) =>
    dump(name).flatMap((config) =>
      config
        .get(list)
        .items()
        .map((item) => unpack(item.at(...inner)).message)
        .filter((node) => node.there),
    );
  // A masked dump may lack it; then nothing is known of it.
  const bootstrap = dump('BootstrapConfigDump')[0]?.get('bootstrap') ?? root.get('bootstrap');
  const tables = [
    ...all('RoutesConfigDump', 'static_route_configs', 'route_config'),
    ...all('RoutesConfigDump', 'dynamic_route_configs', 'route_config'),
  ];
  return {
    running: true,
    bootstrap,
    listeners: [
      ...all('ListenersConfigDump', 'static_listeners', 'listener'),
      ...all('ListenersConfigDump', 'dynamic_listeners', 'active_state', 'listener'),
    ],
    clusters: [
      ...all('ClustersConfigDump', 'static_clusters', 'cluster'),
      ...all('ClustersConfigDump', 'dynamic_active_clusters', 'cluster'),
    ],
    tables: new Map(tables.map((table) => [table.get('name').text(), table])),
    discovered: new Map(
      all('EcdsConfigDump', 'ecds_filters', 'ecds_filter').map((filter) => [
        filter.get('name').text(),
        filter.get('typed_config'),
      ]),
    ),
    dynamic: bootstrap.at('dynamic_resources', 'lds_config'),
  };
}
