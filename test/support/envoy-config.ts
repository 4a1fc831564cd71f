/** One route of a test's Envoy; `policy` is its `mcp.identity` metadata. */
export interface TestRoute {
  readonly prefix: string;
  readonly policy?: Record<string, unknown>;
  /** Overrides in `typed_per_filter_config`. */
  readonly perFilter?: Record<string, unknown>;
  readonly rewrite?: string;
  /** Port of another backend than the recording one. */
  readonly port?: number;
}

export interface EnvoyPorts {
  readonly listen: number;
  readonly admin: number;
  readonly backend: number;
  /** One endpoint per replica of the service. */
  readonly grpc: readonly number[];
  readonly http: number;
}

export interface EnvoyOptions {
  readonly extProc?: boolean;
  /** Ask for bodies in Check; default true. */
  readonly bodies?: boolean;
  readonly maxRequestBytes?: number;
  /** Replaces fields of the ext_authz filter. */
  readonly extAuthz?: Record<string, unknown>;
  readonly extProcFilter?: Record<string, unknown>;
  /** Files with which Envoy calls the service by mutual TLS, a new connection every few calls. */
  readonly grpcTls?: { readonly ca: string; readonly cert: string; readonly key: string };
  /** A file that gets all dynamic metadata of each request; complete once Envoy has ended. */
  readonly metadataLog?: string;
  /** Envoy traces too: its settings, and the port of its cluster `collector`. */
  readonly tracing?: { readonly settings: unknown; readonly port: number } | undefined;
  /** Replaces fields of the connection manager. */
  readonly manager?: Record<string, unknown>;
  /** Stand before ext_authz. */
  readonly filters?: readonly { readonly name: string; readonly typed_config: Record<string, unknown> }[];
  /** The clusters of routes with a port of their own speak HTTP/2. */
  readonly http2Backends?: boolean;
  /** Let Envoy end its ext_proc streams without resets; default true. */
  readonly gracefulClose?: boolean;
  /** Take routes from this file instead, by RDS. */
  readonly rdsFile?: string;
  /** The same routes at other ports. */
  readonly listeners?: readonly ExtraListener[];
}

export interface ExtraListener {
  /** Given by the stack. */
  readonly port?: number;
  /** Fields of its connection manager that replace others. */
  readonly manager?: Record<string, unknown>;
  /** Takes TLS, and looks at client certificates of `ca`; files. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string };
}

const EXT_AUTHZ = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz';
const EXT_PROC = 'type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor';
const ROUTER = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';
const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const HTTP2 = 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

const speaksHttp2 = (common?: Record<string, unknown>) => ({
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': HTTP2,
      explicit_http_config: { http2_protocol_options: {} },
      ...(common ? { common_http_protocol_options: common } : {}),
    },
  },
});

const OFF = {
  'envoy.filters.http.ext_authz': {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
    disabled: true,
  },
  'envoy.filters.http.ext_proc': {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute',
    disabled: true,
  },
};

const endpoint = (port: number) => ({
  endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
});
const cluster = (name: string, ports: readonly number[], more: Record<string, unknown> = {}) => ({
  name,
  type: 'STATIC',
  load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: ports.map(endpoint) }] },
  ...more,
});

const downstreamTls = ({ cert, key, ca }: NonNullable<ExtraListener['tls']>) => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
    common_tls_context: {
      tls_certificates: [{ certificate_chain: { filename: cert }, private_key: { filename: key } }],
      validation_context: { trusted_ca: { filename: ca } },
    },
  },
});

const upstreamTls = ({ ca, cert, key }: NonNullable<EnvoyOptions['grpcTls']>) => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    common_tls_context: {
      tls_certificates: [{ certificate_chain: { filename: cert }, private_key: { filename: key } }],
      validation_context: { trusted_ca: { filename: ca } },
    },
  },
});

const metadataLog = (path: string) => ({
  name: 'envoy.access_loggers.file',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
    path,
    log_format: {
      text_format_source: {
        inline_string:
          '%RESPONSE_CODE% %DYNAMIC_METADATA(envoy.filters.http.ext_authz)% %DYNAMIC_METADATA(envoy.filters.http.ext_proc)%\n',
      },
    },
  },
});

/** A complete Envoy configuration with the settings the docs recommend. */
export function envoyConfig(
  ports: EnvoyPorts,
  routes: readonly TestRoute[],
  options: EnvoyOptions = {},
): Record<string, unknown> {
  const { extProc = false, bodies = true, maxRequestBytes = 4_194_304 } = options;
  const toService = (match: Record<string, string>) => ({
    match,
    route: { cluster: 'identity_http' },
    typed_per_filter_config: extProc ? OFF : { 'envoy.filters.http.ext_authz': OFF['envoy.filters.http.ext_authz'] },
  });
  const filters = [
    ...(options.filters ?? []),
    {
      name: 'envoy.filters.http.ext_authz',
      typed_config: {
        '@type': EXT_AUTHZ,
        transport_api_version: 'V3',
        grpc_service: { envoy_grpc: { cluster_name: 'identity_grpc' }, timeout: '5s' },
        route_metadata_context_namespaces: ['mcp.identity'],
        encode_raw_headers: true,
        include_peer_certificate: true,
        validate_mutations: true,
        ...(bodies
          ? {
              with_request_body: {
                max_request_bytes: maxRequestBytes,
                allow_partial_message: false,
                pack_as_bytes: true,
              },
            }
          : {}),
        status_on_error: { code: 'ServiceUnavailable' },
        ...options.extAuthz,
      },
    },
    {
      name: 'envoy.filters.http.ext_proc',
      typed_config: {
        '@type': EXT_PROC,
        grpc_service: { envoy_grpc: { cluster_name: 'identity_grpc' }, timeout: '5s' },
        message_timeout: '5s',
        allow_mode_override: true,
        processing_mode: { request_header_mode: 'SEND', response_header_mode: 'SEND' },
        metadata_options: { forwarding_namespaces: { untyped: ['envoy.filters.http.ext_authz'] } },
        ...options.extProcFilter,
      },
    },
    { name: 'envoy.filters.http.router', typed_config: { '@type': ROUTER, suppress_envoy_headers: true } },
  ].filter((filter) => extProc || filter.name !== 'envoy.filters.http.ext_proc');

  const routeConfig = {
    virtual_hosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [
          toService({ prefix: '/.well-known/' }),
          toService({ path_separated_prefix: '/connect' }),
          ...routes.map((route) => ({
            match: { path_separated_prefix: route.prefix },
            route: {
              cluster: route.port ? `backend_${route.port}` : 'backend',
              timeout: '0s',
              ...(route.rewrite ? { prefix_rewrite: route.rewrite } : {}),
            },
            ...(route.policy ? { metadata: { filter_metadata: { 'mcp.identity': route.policy } } } : {}),
            ...(route.perFilter ? { typed_per_filter_config: route.perFilter } : {}),
          })),
        ],
      },
    ],
  };

  const listener = ({ port, manager, tls }: ExtraListener) => ({
    name: `mcp_${port}`,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    per_connection_buffer_limit_bytes: 16 * 1024 * 1024,
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type': HCM,
              stat_prefix: 'mcp',
              use_remote_address: true,
              stream_idle_timeout: '0s',
              ...(options.metadataLog === undefined ? {} : { access_log: [metadataLog(options.metadataLog)] }),
              ...(options.tracing === undefined ? {} : { tracing: options.tracing.settings }),
              ...(options.rdsFile === undefined
                ? { route_config: routeConfig }
                : {
                    rds: {
                      route_config_name: 'live',
                      config_source: {
                        path_config_source: { path: options.rdsFile },
                        resource_api_version: 'V3',
                      },
                    },
                  }),
              http_filters: filters,
              ...manager,
            },
          },
        ],
        ...(tls && { transport_socket: downstreamTls(tls) }),
      },
    ],
  });

  return {
    node: { id: 'test', cluster: 'test' },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: ports.admin } } },
    layered_runtime: {
      layers: [
        {
          name: 'static',
          static_layer: {
            'envoy.reloadable_features.ext_proc_graceful_grpc_close': options.gracefulClose ?? true,
            ...(options.tracing === undefined ? {} : { 'tracing.opentelemetry.flush_interval_ms': 50 }),
          },
        },
      ],
    },
    static_resources: {
      listeners: [
        { port: ports.listen, ...(options.manager && { manager: options.manager }) },
        ...(options.listeners ?? []),
      ].map(listener),
      clusters: [
        cluster('identity_grpc', ports.grpc, {
          connect_timeout: '1s',
          circuit_breakers: { thresholds: [{ max_requests: 10_000, max_pending_requests: 10_000 }] },
          per_connection_buffer_limit_bytes: 16 * 1024 * 1024,
          ...speaksHttp2(options.grpcTls ? { max_requests_per_connection: 5 } : undefined),
          ...(options.grpcTls ? { transport_socket: upstreamTls(options.grpcTls) } : {}),
          ...(ports.grpc.length > 1
            ? {
                health_checks: [
                  {
                    timeout: '1s',
                    interval: '0.5s',
                    no_traffic_interval: '0.5s',
                    no_traffic_healthy_interval: '0.5s',
                    unhealthy_threshold: 1,
                    healthy_threshold: 1,
                    grpc_health_check: {},
                  },
                ],
              }
            : {}),
        }),
        cluster('identity_http', [ports.http]),
        ...(options.tracing === undefined ? [] : [cluster('collector', [options.tracing.port])]),
        cluster('backend', [ports.backend], { per_connection_buffer_limit_bytes: 16 * 1024 * 1024 }),
        ...[...new Set(routes.flatMap((route) => route.port ?? []))].map((port) =>
          cluster(`backend_${port}`, [port], options.http2Backends ? speaksHttp2() : {}),
        ),
      ],
    },
  };
}
