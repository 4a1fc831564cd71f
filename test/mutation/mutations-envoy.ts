import type { Mutation } from './mutation.ts';

const AUTHZ = 'envoy.filters.http.ext_authz';
const PROC = 'envoy.filters.http.ext_proc';
const ROUTE_AUTHZ = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute';
const ROUTE_PROC = 'type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute';
const FILTER_CONFIG = 'type.googleapis.com/envoy.config.route.v3.FilterConfig';
const MATCHER = 'type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher';

/** One mistake each in the configuration of Envoy around the policies. */
export const envoyMutations: readonly Mutation[] = [
  { name: 'a route without policy', code: 'V-20', says: /claims/, envoy: (e) => delete e.route('claims').metadata },
  {
    name: 'a policy at the virtual host',
    code: 'V-20',
    mend: /virtual host/,
    envoy: (e) => ((e.virtualHost.metadata = e.route('claims').metadata), delete e.route('claims').metadata),
  },
  {
    name: 'a policy at the weighted cluster',
    code: 'V-20',
    envoy: (e) => (
      (e.route('shared').route.weighted_clusters.clusters[0].metadata_match = e.route('shared').metadata),
      delete e.route('shared').metadata
    ),
    count: 1,
  },
  {
    name: 'a page of the service behind ext_authz',
    code: 'V-20',
    envoy: (e) => delete e.virtualHost.routes[0].typed_per_filter_config[AUTHZ],
  },

  {
    name: 'no metadata forwarded',
    code: 'V-21',
    says: /forward/,
    envoy: (e) => delete e.authz.route_metadata_context_namespaces,
  },
  {
    name: 'other metadata forwarded',
    code: 'V-21',
    says: /forward/,
    envoy: (e) => (e.authz.route_metadata_context_namespaces = ['mcp']),
  },
  {
    name: 'ext_authz fails open',
    code: 'V-21',
    says: /failure_mode_allow/,
    envoy: (e) => (e.authz.failure_mode_allow = true),
  },
  {
    name: 'ext_authz fails open, in camel case',
    code: 'V-21',
    says: /failure_mode_allow/,
    envoy: (e) => (e.authz.failureModeAllow = true),
  },
  {
    name: 'headers not raw',
    code: 'V-21',
    says: /encode_raw_headers/,
    envoy: (e) => delete e.authz.encode_raw_headers,
  },
  {
    name: 'some headers allowed',
    code: 'V-21',
    says: /allowed_headers/,
    envoy: (e) => (e.authz.allowed_headers = { patterns: [{ exact: 'authorization' }] }),
  },
  {
    name: 'some headers disallowed',
    code: 'V-21',
    says: /disallowed_headers/,
    envoy: (e) => (e.authz.disallowed_headers = { patterns: [{ exact: 'cookie' }] }),
  },
  {
    name: 'the route cache cleared',
    code: 'V-21',
    says: /chosen anew/,
    envoy: (e) => (e.authz.clear_route_cache = true),
  },
  {
    name: 'the default timeout',
    code: 'V-21',
    says: /200 ms \(the default\)/,
    count: 2,
    envoy: (e) => delete e.authz.grpc_service.timeout,
  },
  {
    name: 'a short timeout',
    code: 'V-21',
    says: /500 ms/,
    envoy: (e) => (e.authz.grpc_service.timeout = '0.5s'),
    count: 2,
  },
  { name: 'shadow mode', code: 'V-21', says: /shadow_mode/, envoy: (e) => (e.authz.shadow_mode = true) },
  {
    name: 'rules against header changes',
    code: 'V-21',
    says: /decoder_header_mutation_rules/,
    envoy: (e) => (e.authz.decoder_header_mutation_rules = { disallow_all: true }),
  },

  {
    name: 'no ext_proc',
    code: 'V-22',
    says: /no ext_proc/,
    count: 2,
    envoy: (e) => e.filters.splice(1, 1),
    alsoWarns: true,
  },
  {
    name: 'ext_proc of somebody else',
    code: 'V-22',
    says: /no ext_proc/,
    count: 2,
    envoy: (e) => (e.proc.grpc_service.envoy_grpc.cluster_name = 'backend'),
    alsoWarns: true,
  },
  {
    name: 'ext_proc disabled on the route',
    code: 'V-22',
    says: /disabled/,
    envoy: (e) => (e.route('github').typed_per_filter_config = { [PROC]: { '@type': ROUTE_PROC, disabled: true } }),
  },
  {
    name: 'ext_proc switched off on the route',
    code: 'V-22',
    says: /disabled/,
    envoy: (e) => (e.route('github').typed_per_filter_config = { [PROC]: { '@type': FILTER_CONFIG, disabled: true } }),
  },
  {
    name: 'ext_proc off by default',
    code: 'V-22',
    says: /disabled/,
    envoy: (e) => (e.filters[1].disabled = true),
    alsoWarns: true,
  },
  {
    name: 'ext_proc in a matcher',
    code: 'V-22',
    says: /matcher/,
    envoy: (e) =>
      (e.filters[1].typed_config = {
        '@type': MATCHER,
        extension_config: { name: PROC, typed_config: e.proc },
        xds_matcher: {},
      }),
    alsoWarns: true,
  },
  {
    name: 'ext_proc before ext_authz',
    code: 'V-22',
    says: /before/,
    envoy: (e) => e.filters.unshift(e.filters.splice(1, 1)[0]),
  },
  {
    name: 'ext_proc fails open',
    code: 'V-22',
    says: /failure_mode_allow/,
    envoy: (e) => (e.proc.failure_mode_allow = true),
  },
  {
    name: 'ext_proc fails open on a route',
    code: 'V-22',
    says: /failure_mode_allow/,
    envoy: (e) =>
      (e.route('aws').typed_per_filter_config = {
        [PROC]: { '@type': ROUTE_PROC, overrides: { failure_mode_allow: true } },
      }),
  },
  {
    name: 'ext_proc only observes',
    code: 'V-22',
    says: /observability_mode/,
    envoy: (e) => (e.proc.observability_mode = true),
  },
  {
    name: 'ext_proc clears the route cache',
    code: 'V-22',
    says: /chosen anew/,
    envoy: (e) => (e.proc.route_cache_action = 'CLEAR'),
  },
  {
    name: 'ext_proc without requests',
    code: 'V-22',
    says: /requests/,
    envoy: (e) => (e.proc.processing_mode.request_header_mode = 'SKIP'),
  },
  {
    name: 'ext_proc without responses',
    code: 'V-22',
    says: /responses/,
    envoy: (e) => (e.proc.processing_mode.response_header_mode = 'SKIP'),
    alsoWarns: true,
  },
  {
    name: 'ext_proc gets pieces of bodies',
    code: 'V-22',
    says: /whole/,
    envoy: (e) => (e.proc.processing_mode.request_body_mode = 'STREAMED'),
  },
  {
    name: 'no mode override',
    code: 'V-22',
    says: /allow_mode_override/,
    envoy: (e) => delete e.proc.allow_mode_override,
  },
  {
    name: 'some mode overrides only',
    code: 'V-22',
    says: /allowed_override_modes/,
    envoy: (e) => (e.proc.allowed_override_modes = [{ request_body_mode: 'BUFFERED' }]),
  },
  {
    name: 'bodies sent without waiting, which makes Envoy ignore mode overrides',
    code: 'V-22',
    says: /send_body_without_waiting_for_header_response/,
    envoy: (e) => (e.proc.send_body_without_waiting_for_header_response = true),
  },
  {
    name: 'bodies of all answers',
    code: 'V-22',
    says: /all answers/,
    envoy: (e) => (e.proc.processing_mode.response_body_mode = 'STREAMED'),
  },
  {
    name: 'filtered lists without ext_proc',
    code: 'V-22',
    says: /needs ext_proc/,
    envoy: (e) => {
      e.policy('claims').filterLists = true;
      e.route('claims').typed_per_filter_config = { [PROC]: { '@type': ROUTE_PROC, disabled: true } };
    },
  },
  {
    name: 'no dynamic metadata for ext_proc',
    code: 'V-22',
    says: /decided/,
    envoy: (e) => delete e.proc.metadata_options,
  },
  {
    name: 'other dynamic metadata on a route',
    code: 'V-22',
    says: /decided/,
    envoy: (e) =>
      (e.route('aws').typed_per_filter_config = {
        [PROC]: { '@type': ROUTE_PROC, overrides: { metadata_options: { forwarding_namespaces: { untyped: ['x'] } } } },
      }),
  },
  {
    name: 'dynamic metadata thrown away',
    code: 'V-22',
    says: /drops/,
    envoy: (e) => (e.authz.enable_dynamic_metadata_ingestion = false),
  },
  {
    name: 'a rejected credential not noticed',
    code: 'V-22',
    severity: 'warning',
    says: /rejects/,
    envoy: (e) => (e.route('hr').typed_per_filter_config = { [PROC]: { '@type': ROUTE_PROC, disabled: true } }),
  },

  {
    name: 'no body for Check',
    code: 'V-23',
    alsoCodes: ['V-35'],
    says: /does not buffer/,
    envoy: (e) => delete e.authz.with_request_body,
  },
  {
    name: 'the body as text',
    code: 'V-23',
    says: /as text/,
    envoy: (e) => delete e.authz.with_request_body.pack_as_bytes,
  },
  {
    name: 'a part of the body',
    code: 'V-23',
    alsoCodes: ['V-35'],
    says: /cuts/,
    envoy: (e) => (e.authz.with_request_body.allow_partial_message = true),
  },
  {
    name: 'buffering switched off on the route',
    code: 'V-23',
    says: /switches buffering off/,
    envoy: (e) =>
      (e.route('claims').typed_per_filter_config = {
        [AUTHZ]: { '@type': ROUTE_AUTHZ, check_settings: { disable_request_body_buffering: true } },
      }),
  },
  {
    name: 'a part of the body on the route',
    code: 'V-23',
    says: /cuts/,
    envoy: (e) =>
      (e.route('claims').typed_per_filter_config = {
        [AUTHZ]: {
          '@type': ROUTE_AUTHZ,
          check_settings: { with_request_body: { max_request_bytes: 1000, allow_partial_message: true } },
        },
      }),
  },

  { name: 'streams reset', code: 'V-24', envoy: (e) => delete e.root.layered_runtime },
  {
    name: 'streams reset by a later layer',
    code: 'V-24',
    envoy: (e) =>
      e.root.layered_runtime.layers.push({
        name: 'last',
        static_layer: { envoy: { reloadable_features: { ext_proc_graceful_grpc_close: false } } },
      }),
  },

  {
    name: 'no ext_authz',
    code: 'V-25',
    says: /no ext_authz/,
    envoy: (e) => e.filters.splice(0, 1),
    alsoCodes: ['V-22'],
    count: 7,
  },
  {
    name: 'ext_authz disabled on the route',
    code: 'V-25',
    says: /disabled/,
    envoy: (e) => (e.route('claims').typed_per_filter_config = { [AUTHZ]: { '@type': ROUTE_AUTHZ, disabled: true } }),
  },
  {
    name: 'ext_authz disabled at the virtual host',
    code: 'V-25',
    says: /disabled/,
    envoy: (e) => (e.virtualHost.typed_per_filter_config = { [AUTHZ]: { '@type': ROUTE_AUTHZ, disabled: true } }),
  },
  {
    name: 'ext_authz disabled at the route table',
    code: 'V-25',
    says: /disabled/,
    envoy: (e) =>
      (e.manager.route_config.typed_per_filter_config = { [AUTHZ]: { '@type': ROUTE_AUTHZ, disabled: true } }),
  },
  {
    name: 'ext_authz disabled for a weighted cluster',
    code: 'V-25',
    says: /weighted cluster/,
    envoy: (e) =>
      (e.route('shared').route.weighted_clusters.clusters[1].typed_per_filter_config[AUTHZ] = {
        '@type': ROUTE_AUTHZ,
        disabled: true,
      }),
  },
  { name: 'ext_authz off by default', code: 'V-25', says: /disabled/, envoy: (e) => (e.filters[0].disabled = true) },
  {
    name: 'ext_authz for half of the requests',
    code: 'V-25',
    says: /part/,
    envoy: (e) => (e.authz.filter_enabled = { default_value: { numerator: 50 } }),
  },
  {
    name: 'ext_authz for some metadata',
    code: 'V-25',
    says: /part/,
    envoy: (e) =>
      (e.authz.filter_enabled_metadata = { filter: 'x', path: [{ key: 'y' }], value: { bool_match: true } }),
  },
  {
    name: 'ext_authz in a matcher',
    code: 'V-25',
    says: /matcher/,
    envoy: (e) =>
      (e.filters[0].typed_config = {
        '@type': MATCHER,
        extension_config: { name: AUTHZ, typed_config: e.authz },
        xds_matcher: {},
      }),
  },
  {
    name: 'ext_authz of somebody else on the route',
    code: 'V-25',
    says: /another service/,
    envoy: (e) =>
      (e.route('claims').typed_per_filter_config = {
        [AUTHZ]: {
          '@type': ROUTE_AUTHZ,
          check_settings: { grpc_service: { envoy_grpc: { cluster_name: 'backend' }, timeout: '5s' } },
        },
      }),
  },
  {
    name: 'WebSockets past ext_authz',
    code: 'V-25',
    says: /websocket/,
    envoy: (e) => (e.manager.upgrade_configs = [{ upgrade_type: 'websocket', filters: [e.filters[2]] }]),
  },

  {
    name: 'a path rewritten after signing',
    code: 'V-28',
    says: /path/,
    envoy: (e) => (e.route('aws').route.prefix_rewrite = '/mcp'),
  },
  {
    name: 'a path template after signing',
    code: 'V-28',
    says: /path/,
    envoy: (e) => (e.route('aws').route.regex_rewrite = { pattern: { regex: '^/aws' }, substitution: '' }),
  },
  {
    name: 'a host rewritten after signing',
    code: 'V-28',
    says: /host/,
    envoy: (e) => (e.route('aws').route.auto_host_rewrite = true),
  },
  {
    name: 'another literal host after signing',
    code: 'V-28',
    says: /host/,
    envoy: (e) => (e.route('aws').route.host_rewrite_literal = 'other.example.com'),
  },

  {
    name: 'the default buffer',
    code: 'V-29',
    says: /1048576 bytes \(the default\)/,
    alsoWarns: true,
    envoy: (e) => delete e.listener.per_connection_buffer_limit_bytes,
  },
  {
    name: 'a small buffer where ext_authz raises it',
    code: 'V-29',
    severity: 'warning',
    says: /ext_authz asks/,
    envoy: (e) => (e.route('claims').per_request_buffer_limit_bytes = 1000),
  },
  {
    name: 'a small buffer on the route',
    code: 'V-29',
    says: /1000 bytes/,
    envoy: (e) => (e.route('aws').per_request_buffer_limit_bytes = 1000),
  },
  {
    name: 'the default route timeout',
    code: 'V-29',
    severity: 'warning',
    says: /15 s/,
    envoy: (e) => delete e.route('claims').route.timeout,
  },
  {
    name: 'an idle timeout',
    code: 'V-29',
    severity: 'warning',
    says: /300 s/,
    envoy: (e) => delete e.manager.stream_idle_timeout,
  },
  {
    name: 'routes from a control plane',
    code: 'V-31',
    severity: 'warning',
    says: /`mcp`/,
    envoy: (e) => ((e.manager.rds = { route_config_name: 'mcp' }), delete e.manager.route_config),
  },
  {
    name: 'a filter from a control plane',
    code: 'V-31',
    severity: 'warning',
    says: /waf/,
    envoy: (e) => e.filters.unshift({ name: 'waf', config_discovery: { type_urls: ['x'] } }),
  },
  { name: 'no listener at all', code: 'FILE', says: /no Envoy listener/, envoy: (e) => delete e.root.static_resources },
];
