import { isMap, isSeq, parseDocument } from 'yaml';

/** The listeners of the first replica, and those of the second in the same network namespace. */
const PORTS = { grpc: [9191, 9291], http: [9192, 9292], admin: [9193, 9293] } as const;

/** The configuration of the second replica: the first one's, on ports of its own. @throws when a listener is not there */
export function secondReplica(sidecar: string): string {
  const document = parseDocument(sidecar);
  for (const [listener, [first, second]] of Object.entries(PORTS)) {
    const path = ['server', listener];
    if (document.getIn(path) !== `127.0.0.1:${first}`) throw new Error(`server.${listener} is not 127.0.0.1:${first}`);
    document.setIn(path, `127.0.0.1:${second}`);
  }
  return document.toString({ lineWidth: 0 });
}

/**
 * Envoy's configuration with an endpoint more in the clusters of the service. One endpoint per process: Envoy keeps one
 * connection per endpoint, so processes behind a shared port would not share the load.
 * @throws when there is no such cluster
 */
export function withSecondReplica(envoy: string): string {
  const document = parseDocument(envoy);
  const clusters = document.getIn(['static_resources', 'clusters']);
  if (!isSeq(clusters)) throw new Error('there are no clusters');
  for (const [name, [, second]] of Object.entries({ identity_grpc: PORTS.grpc, identity_http: PORTS.http })) {
    const cluster = clusters.items.find((item) => isMap(item) && item.get('name') === name);
    const endpoints = isMap(cluster) ? cluster.getIn(['load_assignment', 'endpoints', 0, 'lb_endpoints']) : undefined;
    if (!isSeq(endpoints)) throw new Error(`there is no cluster ${name} with endpoints`);
    const address = { socket_address: { address: '127.0.0.1', port_value: second } };
    endpoints.add(document.createNode({ endpoint: { address } }));
  }
  return document.toString({ lineWidth: 0 });
}
