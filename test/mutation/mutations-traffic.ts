import type { EnvoyHandle, Mutation } from './mutation.ts';

const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  },
};
const NEGOTIATED = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    auto_config: {},
  },
};
const NO_TRAILERS = {
  name: 'no_request_trailers',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
    mutations: { request_trailers_mutations: [{ remove_on_match: { key_matcher: { safe_regex: { regex: '.*' } } } }] },
  },
};
const PROXY_PROTOCOL = {
  name: 'envoy.filters.listener.proxy_protocol',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol',
  },
};
const BUFFER = {
  name: 'envoy.filters.http.buffer',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer',
    max_request_bytes: 4_194_304,
  },
};
const FILTER_CONFIG = 'type.googleapis.com/envoy.config.route.v3.FilterConfig';

/** The backend of most routes; the clusters of the service come first. */
const backend = (e: EnvoyHandle) => e.root.static_resources.clusters[2];
const looseRoute = (e: EnvoyHandle) => (e.route('claims').match = { prefix: '/claims/' });
const strictPaths = { normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: 'REJECT_REQUEST' };

/** What clients can do with trailers, paths, addresses and bodies where Envoy lets them. */
export const trafficMutations: readonly Mutation[] = [
  {
    name: 'a backend that speaks HTTP/2',
    code: 'V-32',
    severity: 'warning',
    says: /http2_protocol_options: the trailers of requests reach/,
    envoy: (e) => (backend(e).typed_extension_protocol_options = HTTP2),
  },
  {
    name: 'a backend that may speak HTTP/2',
    code: 'V-32',
    severity: 'warning',
    envoy: (e) => (backend(e).typed_extension_protocol_options = NEGOTIATED),
  },
  {
    name: 'a filter against trailers that one route switches off',
    code: 'V-32',
    severity: 'warning',
    says: /claims/,
    envoy: (e) => {
      backend(e).typed_extension_protocol_options = HTTP2;
      e.filters.unshift(NO_TRAILERS);
      e.route('claims').typed_per_filter_config = {
        no_request_trailers: { '@type': FILTER_CONFIG, disabled: true },
      };
    },
  },
  {
    name: 'a prefix beside other policies, and paths as clients write them',
    code: 'V-33',
    severity: 'warning',
    says: /`\.` and `\.\.`/,
    count: 3,
    envoy: looseRoute,
  },
  {
    name: 'doubled slashes',
    code: 'V-33',
    severity: 'warning',
    says: /doubled/,
    envoy: (e) => (looseRoute(e), Object.assign(e.manager, strictPaths, { merge_slashes: false })),
  },
  {
    name: 'escaped slashes',
    code: 'V-33',
    severity: 'warning',
    says: /escaped/,
    envoy: (e) => (
      looseRoute(e), Object.assign(e.manager, strictPaths, { path_with_escaped_slashes_action: 'KEEP_UNCHANGED' })
    ),
  },
  {
    name: 'proxies trusted by address behind the PROXY protocol',
    code: 'V-34',
    severity: 'warning',
    says: /mesh trusts proxies/,
    envoy: (e) => (e.listener.listener_filters = [PROXY_PROTOCOL]),
  },
  {
    name: 'nothing bounds the bodies that are edited',
    code: 'V-35',
    severity: 'warning',
    says: /github/,
    envoy: (e) =>
      Object.assign((e.route('github').typed_per_filter_config ??= {}), {
        'envoy.filters.http.ext_authz': {
          '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
          check_settings: { with_request_body: { max_request_bytes: 4_194_304, allow_partial_message: true } },
        },
      }),
    alsoCodes: ['V-23'],
  },
  {
    name: 'a buffer filter that comes too late',
    code: 'V-35',
    severity: 'warning',
    says: /aws/,
    envoy: (e) => {
      e.filters.splice(1, 0, BUFFER);
      e.route('aws').typed_per_filter_config = {
        'envoy.filters.http.ext_authz': {
          '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
          check_settings: { disable_request_body_buffering: true },
        },
      };
    },
  },
];
