import { type EnvoyOptions, envoyConfig, type TestRoute } from '../test/support/envoy-config.ts';
import { AUTHZ_POLICIES, type Listener, numberedRoute, type Peer, PROC_POLICIES, RESOURCE } from './variants.ts';
import type { Service } from './variants.ts';

type Json = Record<string, any>;
const TYPE = 'type.googleapis.com/envoy';

export interface BenchPorts {
  readonly admin: number;
  readonly backend: number;
  readonly backendAdmin: number;
  readonly listeners: ReadonlyMap<Listener, number>;
  /** gRPC ports (one per process) and HTTP port of each service, gRPC port of each peer. */
  readonly services: ReadonlyMap<Service, { readonly grpc: readonly number[]; readonly http: number }>;
  readonly peers: ReadonlyMap<Peer, number>;
}

/** Numbers of routes that a listener of its own has, if the run wants it. */
const MANY_ROUTES: readonly (readonly [Listener, number])[] = [
  ['ours_routes_100', 100],
  ['ours_routes_10000', 10_000],
];

const routesOf = (service: string, policies: Readonly<Record<string, object>>): TestRoute[] =>
  Object.entries(policies).map(([prefix, policy]) => ({
    prefix,
    policy: { backend: `${service}${prefix.replace('/', '-')}`, ...policy },
  }));

/** One listener out of a test's configuration, and its clusters under names of their own. */
function part(
  listener: Listener,
  ports: BenchPorts,
  upstream: { readonly grpc: readonly number[]; readonly http: number },
  routes: TestRoute[],
  options: EnvoyOptions,
) {
  const config = envoyConfig(
    {
      listen: ports.listeners.get(listener) as number,
      admin: ports.admin,
      backend: ports.backend,
      grpc: upstream.grpc,
      http: upstream.http,
    },
    routes,
    options,
  ) as Json;
  const named = JSON.stringify(config['static_resources'])
    .replaceAll('"identity_grpc"', `"${listener}_grpc"`)
    .replaceAll('"identity_http"', `"${listener}_http"`);
  const { listeners, clusters } = JSON.parse(named) as { listeners: Json[]; clusters: Json[] };
  const made = listeners[0] as Json;
  made['name'] = listener;
  return { config, listener: made, clusters };
}

function replaceFilters(listener: Json, change: (filters: Json[]) => Json[]): void {
  const manager = listener['filter_chains'][0].filters[0].typed_config as Json;
  manager['http_filters'] = change(manager['http_filters']);
}

function jwtAuthn(issuer: string, jwks: string, cache: boolean): Json {
  const toHeader = (claim: string) => ({ header_name: `x-user-${claim}`, claim_name: claim });
  return {
    name: 'envoy.filters.http.jwt_authn',
    typed_config: {
      '@type': `${TYPE}.extensions.filters.http.jwt_authn.v3.JwtAuthentication`,
      providers: {
        corp: {
          issuer,
          audiences: [RESOURCE],
          local_jwks: { inline_string: jwks },
          claim_to_headers: ['sub', 'email', 'name'].map(toHeader),
          ...(cache ? { jwt_cache_config: { jwt_cache_size: 1_000 } } : {}),
        },
      },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'corp' } }],
    },
  };
}

/**
 * One Envoy for all variants, a listener each, so that they share everything but their filters.
 * @returns the configuration to run, and for each service the part of it that the service validates
 */
export function benchEnvoy(
  ports: BenchPorts,
  issuer: string,
  jwks: string,
  maxRequestBytes: number,
): { running: Json; own: Map<Service, Json> } {
  const nowhere = { grpc: [ports.backend], http: ports.backend };
  const bare = (listener: Listener) => part(listener, ports, nowhere, [{ prefix: '/claims' }], { bodies: false });
  const parts = [];

  const alone = bare('plain');
  replaceFilters(alone.listener, (filters) => filters.slice(-1));
  parts.push(alone);
  for (const name of ['jwt_authn', 'jwt_authn_cache'] as const) {
    const made = bare(name);
    replaceFilters(made.listener, (filters) => [
      jwtAuthn(issuer, jwks, name === 'jwt_authn_cache'),
      ...filters.slice(-1),
    ]);
    parts.push(made);
  }
  for (const [name, grpc] of ports.peers)
    parts.push(
      part(name, ports, { grpc: [grpc], http: ports.backend }, [{ prefix: '/claims' }], {
        bodies: false,
        extAuthz: { route_metadata_context_namespaces: [], encode_raw_headers: false, include_peer_certificate: false },
      }),
    );
  const own = new Map<Service, Json>();
  for (const [service, upstream] of ports.services) {
    const one = { grpc: upstream.grpc.slice(0, 1), http: upstream.http };
    const options = { maxRequestBytes };
    const authz = part(`${service}_authz`, ports, one, routesOf(service, AUTHZ_POLICIES), options);
    const proc = part(`${service}_authz_proc`, ports, one, routesOf(`${service}-proc`, PROC_POLICIES), {
      ...options,
      extProc: true,
    });
    const made = [authz, proc];
    if (service === 'ours') {
      for (const [listener, count] of MANY_ROUTES.filter(([name]) => ports.listeners.has(name))) {
        const routes = Array.from({ length: count }, (_, n) => numberedRoute(n));
        made.push(part(listener, ports, one, routes, options));
      }
      if (ports.listeners.has('ours_two')) {
        made.push(part('ours_two', ports, upstream, routesOf(service, AUTHZ_POLICIES), options));
      }
    }
    parts.push(...made);
    own.set(service, whole(authz.config, made));
  }
  return { running: whole((parts[0] as ReturnType<typeof part>).config, parts), own };
}

function whole(base: Json, parts: readonly { listener: Json; clusters: Json[] }[]): Json {
  const clusters = new Map(parts.flatMap((made) => made.clusters).map((cluster) => [cluster['name'], cluster]));
  return {
    ...base,
    static_resources: { listeners: parts.map((made) => made.listener), clusters: [...clusters.values()] },
  };
}

/** A second Envoy as the backend: it answers by itself, fast, and needs nothing that is not there already. */
export function backendEnvoy(ports: BenchPorts): Json {
  const answer = { status: 200, body: { inline_string: '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}' } };
  const json = { header: { key: 'content-type', value: 'application/json' } };
  const session = { header: { key: 'mcp-session-id', value: 'backend-session-1' } };
  const route = (prefix: string, headers: Json[]) => ({
    match: { prefix },
    direct_response: answer,
    response_headers_to_add: headers,
  });
  const manager = {
    '@type': `${TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'backend',
    route_config: {
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [route('/session', [json, session]), route('/', [json])] },
      ],
    },
    http_filters: [
      // An answer before the whole request has been read would close the connection.
      {
        name: 'envoy.filters.http.buffer',
        typed_config: { '@type': `${TYPE}.extensions.filters.http.buffer.v3.Buffer`, max_request_bytes: 16_777_216 },
      },
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${TYPE}.extensions.filters.http.router.v3.Router` },
      },
    ],
  };
  const at = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
  const filters = [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }];
  return {
    node: { id: 'backend', cluster: 'bench' },
    admin: { address: at(ports.backendAdmin) },
    static_resources: { listeners: [{ name: 'backend', address: at(ports.backend), filter_chains: [{ filters }] }] },
  };
}
