import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Loose } from '../support/good-pair.ts';

/** Where an Envoy of the test finds what the gateway's Envoy would find by name. */
export interface Places {
  readonly listen: number;
  readonly admin: number;
  /** The gRPC port of the service, and what is shown there. */
  readonly grpc: { readonly port: number; readonly ca: string; readonly cert: string; readonly key: string };
  readonly http: number;
  readonly backend: number;
}

const ROOT = join(import.meta.dirname, '../..');
const HTTP2 = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';

/** `rendered.yaml` of a gateway's recipe: an Envoy `/config_dump`, with names as in Envoy's YAML. */
export function readRendered(name: string): Loose {
  return snakeCase(parse(readFileSync(join(ROOT, 'deploy', name, 'rendered.yaml'), 'utf8')));
}

/** Some tools write messages in camelCase. Keys with a dot are those of maps, and metadata is what people wrote. */
function snakeCase(value: Loose): Loose {
  if (Array.isArray(value)) return value.map(snakeCase);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const name = key.includes('.') ? key : key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      return [name, name === 'filter_metadata' ? inner : snakeCase(inner)];
    }),
  );
}

/**
 * A bootstrap that runs the rendered filters and routes as they are. What needs a cluster around it is replaced: the
 * listener's TLS and host names, the control plane, and the endpoints of clusters.
 */
export function runnable(dump: Loose, places: Places): Loose {
  const of = (kind: string) => dump.configs.find((config: Loose) => config['@type'].endsWith(`.${kind}`));
  const listeners = of('ListenersConfigDump').dynamic_listeners.map((one: Loose) => one.active_state.listener);
  const tables = of('RoutesConfigDump').dynamic_route_configs.map((one: Loose) => one.route_config);
  const clusters = of('ClustersConfigDump').dynamic_active_clusters.map((one: Loose) => one.cluster);
  const isManager = (filter: Loose) => filter.name === 'envoy.filters.network.http_connection_manager';
  const found = listeners.find((one: Loose) => one.filter_chains?.[0]?.filters.find(isManager)?.typed_config.rds);
  const { typed_config: manager, ...filter } = found.filter_chains[0].filters.find(isManager);
  const { rds, access_log: _log, ...kept } = manager;
  // Istio's own filters are not in everybody's Envoy; they have no say in what is tested.
  const rest = { ...kept, http_filters: kept.http_filters.filter(({ name }: Loose) => !name.startsWith('istio.')) };
  const { '@type': _any, ...routes } = tables.find((table: Loose) => table.name === rds.route_config_name);
  for (const host of routes.virtual_hosts) host.domains = ['*'];
  return {
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: places.admin } } },
    layered_runtime: of('BootstrapConfigDump').bootstrap.layered_runtime,
    static_resources: {
      listeners: [
        {
          name: found.name,
          address: { socket_address: { address: '127.0.0.1', port_value: places.listen } },
          per_connection_buffer_limit_bytes: found.per_connection_buffer_limit_bytes,
          filter_chains: [{ filters: [{ ...filter, typed_config: { ...rest, route_config: routes } }] }],
        },
      ],
      clusters: clusters.map(({ '@type': _type, ...cluster }: Loose) => reachable(cluster, places)),
    },
  };
}

/** The cluster as it is, but for where its endpoints are and how they are reached. */
function reachable(cluster: Loose, { grpc, http, backend }: Places): Loose {
  const toGrpc = /extauth|extproc|\|9191\|/.test(cluster.name);
  const port = toGrpc ? grpc.port : /identity/.test(cluster.name) ? http : backend;
  const kept = ['name', 'connect_timeout', 'circuit_breakers', 'health_checks', 'per_connection_buffer_limit_bytes'];
  const tls = {
    '@type': TLS,
    common_tls_context: {
      // Whether Envoy says that it speaks HTTP/2 is for the rendered cluster to say.
      alpn_protocols: cluster.transport_socket?.typed_config.common_tls_context.alpn_protocols ?? [],
      tls_certificates: [{ certificate_chain: { filename: grpc.cert }, private_key: { filename: grpc.key } }],
      validation_context: { trusted_ca: { filename: grpc.ca } },
    },
  };
  return {
    ...Object.fromEntries(kept.filter((key) => key in cluster).map((key) => [key, cluster[key]])),
    type: 'STATIC',
    load_assignment: {
      cluster_name: cluster.name,
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] },
      ],
    },
    ...(toGrpc
      ? {
          typed_extension_protocol_options: { [HTTP2]: cluster.typed_extension_protocol_options[HTTP2] },
          transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: tls },
        }
      : {}),
  };
}
