import type { EnvoyModel } from './model.ts';
import type { Node } from './node.ts';

const PROTOCOLS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Prepares what is asked of clusters; nothing is known of those that a control plane sends. */
export function readClusters(clusters: readonly Node[]): Pick<EnvoyModel, 'endpoints' | 'takesTrailers'> {
  const byName = new Map(clusters.map((cluster) => [cluster.get('name').text(), cluster]));
  return {
    endpoints: (name) => endpointsOf(byName.get(name)),
    takesTrailers: (name) => {
      const cluster = byName.get(name);
      return cluster && takesTrailers(cluster);
    },
  };
}

/** HTTP/2 and HTTP/3 carry trailers, HTTP/1 where it is told to (Envoy 1.40); what is negotiated may be any of them. */
function takesTrailers(cluster: Node): Node | undefined {
  const options = cluster.get('typed_extension_protocol_options').entry(PROTOCOLS);
  const explicit = options.get('explicit_http_config');
  const set = [
    explicit.get('http2_protocol_options'),
    explicit.get('http3_protocol_options'),
    options.get('auto_config'),
    options.get('use_downstream_protocol_config'),
    cluster.get('http2_protocol_options'),
  ].find((node) => node.there);
  const http1 = [explicit, cluster].map((at) => at.at('http_protocol_options', 'enable_trailers'));
  return set ?? http1.find((node) => node.flag());
}

/** Static addresses; none for clusters that are found otherwise. */
function endpointsOf(cluster: Node | undefined): readonly string[] {
  if (!cluster) return [];
  const endpoints = cluster
    .at('load_assignment', 'endpoints')
    .items()
    .flatMap((locality) => locality.get('lb_endpoints').items());
  return endpoints.flatMap((endpoint) => addressOf(endpoint.at('endpoint', 'address')) ?? []);
}

function addressOf(address: Node): string | undefined {
  const pipe = address.at('pipe', 'path').text();
  if (pipe) return `unix:${pipe}`;
  const socket = address.get('socket_address');
  const host = socket.get('address').text();
  const port = socket.get('port_value').number();
  return host && port !== undefined ? sameHost(`${host.includes(':') ? `[${host}]` : host}:${port}`) : undefined;
}

/** Loopback has two names. */
export function sameHost(address: string): string {
  return address.replace(/^localhost:/, '127.0.0.1:');
}
