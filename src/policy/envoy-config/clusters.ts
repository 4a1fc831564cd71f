import type { Node } from './node.ts';

/** Prepares the look-up of a cluster's static endpoint addresses; empty for clusters that are found otherwise. */
export function readClusters(clusters: readonly Node[]): (name: string) => readonly string[] {
  const byName = new Map(clusters.map((cluster) => [cluster.get('name').text(), cluster]));
  return (name) => {
    const cluster = byName.get(name);
    if (!cluster) return [];
    const endpoints = cluster
      .at('load_assignment', 'endpoints')
      .items()
      .flatMap((locality) => locality.get('lb_endpoints').items());
    return endpoints.flatMap((endpoint) => addressOf(endpoint.at('endpoint', 'address')) ?? []);
  };
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
