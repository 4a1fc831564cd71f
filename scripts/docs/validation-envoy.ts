import type { CodeEntry } from './validation-codes.ts';

const META = 'identityPropagation: { mode: meta }';
const TOOLS = 'tools: { delete_repo: { deny: true } }';
const AWS = `outgoingAuth:
  type: aws_sts
  awsSts:
    region: eu-central-1
    service: execute-api
    host: api.example.com
    fallbackRoleArn: arn:aws:iam::123456789012:role/mcp`;
const AUTHZ_OFF = `typed_per_filter_config:
  envoy.filters.http.ext_authz:
    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
    disabled: true`;

const HTTP2 = `typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: { http2_protocol_options: {} }`;
const NO_TRAILERS = `name: no_request_trailers
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
  mutations:
    request_trailers_mutations: [{ remove_on_match: { key_matcher: { safe_regex: { regex: ".*" } } } }]`;
const BUFFER = `name: envoy.filters.http.buffer
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer
  max_request_bytes: 4194304`;

/** Codes of the Envoy configuration. */
export const ENVOY_CODES: Readonly<Record<string, CodeEntry>> = {
  'V-20': {
    title: 'A route goes through ext_authz without a policy',
    why: 'Each of its requests would be answered with 500. Envoy forwards metadata of routes only, so on a virtual host it counts for nothing.',
    examples: [
      {
        around: { route: 'metadata: null' },
        bad: { route: 'match: { prefix: /.well-known/ }' },
        good: { route: `match: { prefix: /.well-known/ }\n${AUTHZ_OFF}` },
      },
    ],
  },
  'V-21': {
    title: 'ext_authz with settings by which the service could not do its work, or would not be obeyed',
    why: 'Each message says which setting and why. The full list is in [Envoy settings](envoy-settings.md).',
    examples: [
      {
        bad: { ext_authz: 'failure_mode_allow: true' },
        good: { ext_authz: 'failure_mode_allow: false\nstatus_on_error: { code: ServiceUnavailable }' },
      },
      {
        bad: { ext_authz: 'grpc_service: { envoy_grpc: { cluster_name: identity_grpc } }' },
        good: { ext_authz: 'grpc_service: { envoy_grpc: { cluster_name: identity_grpc }, timeout: 5s }' },
      },
    ],
  },
  'V-22': {
    title: 'A policy needs ext_proc, which is not there or could not do it',
    why: 'Needed for `_meta`, `filterLists`, `aws_sts` and `session.bind`. Only a warning where it is about a backend that rejects the credential it was given.',
    examples: [
      {
        around: { 'mcp.identity': META },
        bad: { ext_proc: 'metadata_options: {}' },
        good: { ext_proc: 'metadata_options: { forwarding_namespaces: { untyped: [envoy.filters.http.ext_authz] } }' },
      },
    ],
  },
  'V-23': {
    title: 'A route decides by the body, which the service does not get as it was sent',
    why: 'Needed for `tools`, `validateMcpHeaders`, and to answer in the form of the request when an account is missing. Envoy 1.40 ignores `pack_as_bytes` of a route, so it stands at the filter.',
    examples: [
      {
        around: { 'mcp.identity': TOOLS },
        bad: { ext_authz: 'with_request_body: { max_request_bytes: 4194304 }' },
        good: {
          ext_authz:
            'with_request_body: { max_request_bytes: 4194304, allow_partial_message: false, pack_as_bytes: true }',
        },
      },
    ],
  },
  'V-24': {
    title: 'ext_proc streams would end by reset',
    why: 'Node drops an HTTP/2 connection on which many streams are reset, and with it the requests under way.',
    examples: [
      {
        bad: { bootstrap: 'layered_runtime: {}' },
        good: {
          bootstrap: `layered_runtime:
  layers:
    - name: static
      static_layer: { envoy.reloadable_features.ext_proc_graceful_grpc_close: true }`,
        },
      },
    ],
  },
  'V-25': {
    title: 'A policy that is not enforced',
    why: 'The route has a policy, but ext_authz is missing, switched off for it, or runs for a part of the requests only.',
    examples: [
      {
        bad: { route: AUTHZ_OFF },
        good: { route: 'typed_per_filter_config: {}' },
      },
    ],
  },
  'V-28': {
    title: 'Host or path are rewritten after the request was signed for AWS',
    why: 'The signature covers both, and the router rewrites after all filters.',
    examples: [
      {
        around: { 'mcp.identity': AWS },
        bad: { route: 'route: { cluster: crm, timeout: 0s, prefix_rewrite: /mcp }' },
        good: { route: 'route: { cluster: crm, timeout: 0s }' },
      },
    ],
  },
  'V-29': {
    title: 'Buffers that are too small, or timeouts that cut event streams',
    why: 'With ext_proc, Envoy 1.40 hangs on a body that does not fit. MCP answers are event streams, which last and may be silent: Envoy’s defaults end them after 15 seconds, or 5 silent minutes (warning).',
    examples: [
      {
        around: { 'mcp.identity': META },
        bad: { listener: 'per_connection_buffer_limit_bytes: 1048576 # the default, too' },
        good: { listener: 'per_connection_buffer_limit_bytes: 8388608' },
      },
      {
        bad: { route: 'route: { cluster: crm }' },
        good: { route: 'route: { cluster: crm, timeout: 0s }' },
      },
    ],
  },
  'V-31': {
    title: 'Routes or listeners that this file does not hold',
    why: 'They come from a control plane (RDS, LDS), so nothing is known of them here: a warning. With `envoy.admin` the running Envoy is looked at instead, again and again.',
    examples: [
      {
        hidden: { 'connection manager': 'route_config: null' },
        bad: {
          'connection manager': `rds:
  route_config_name: live
  config_source: { resource_api_version: V3, path_config_source: { path: /etc/envoy/routes.yaml } }`,
        },
        good: { 'config file': 'envoy: { admin: "http://127.0.0.1:9901" }' },
      },
    ],
  },
  'V-32': {
    title: 'A backend gets the trailers of requests',
    why: 'Headers are decided about before the body; a client of HTTP/2 can send more of them after it. Towards HTTP/1 Envoy drops them, towards HTTP/2 and HTTP/3 it does not. A backend that reads a trailer as a header would believe who the client says it is (warning).',
    examples: [
      {
        bad: { cluster: HTTP2 },
        good: { cluster: HTTP2, 'another filter': NO_TRAILERS },
      },
    ],
  },
  'V-33': {
    title: 'Routes with different policies are told apart by paths that can be written in several ways',
    why: 'Where a route is not matched by an exact `path`, `/open/../crm/mcp`, `//crm/mcp` or `/open/..%2fcrm/mcp` may be judged by the policy of one route and served by the backend as another (warning).',
    examples: [
      {
        around: { route: 'match: { prefix: /crm/ }' },
        bad: { 'connection manager': 'normalize_path: false' },
        good: {
          'connection manager':
            'normalize_path: true\nmerge_slashes: true\npath_with_escaped_slashes_action: REJECT_REQUEST',
        },
      },
    ],
  },
  'V-34': {
    title: 'A proxy is trusted by an address that clients choose',
    why: 'On a listener that takes addresses from the PROXY protocol, whoever can connect is whoever it likes; a `trusted_proxy` method that names addresses believes it (warning). What `x-forwarded-for` says is not believed by such methods, whatever `xff_num_trusted_hops` is.',
    examples: [
      {
        around: {
          'mcp.identity': 'incomingAuth: [mesh]\nresource: null',
          listener: `listener_filters:
  - name: envoy.filters.listener.proxy_protocol
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol`,
        },
        bad: {
          'config file': `incomingAuth:
  mesh: { type: trusted_proxy, trustedPeers: [10.0.0.0/8] }
  corp: { type: jwt, issuer: https://idp.example.com }`,
        },
        good: {
          'config file': `incomingAuth:
  mesh: { type: trusted_proxy, trustedPeers: ["spiffe://corp/gateway"] }
  corp: { type: jwt, issuer: https://idp.example.com }`,
        },
      },
    ],
  },
  'V-35': {
    title: 'Nothing bounds bodies of unannounced length before ext_proc asks for them',
    why: 'Where ext_proc edits or signs bodies, Envoy 1.40 stands still when more arrives than its buffer holds; after a minute the client is told 408. A body that says how long it is is refused at once (warning).',
    examples: [
      {
        around: { 'mcp.identity': META },
        bad: { ext_authz: 'with_request_body: null' },
        good: { ext_authz: 'with_request_body: null', 'another filter': BUFFER },
      },
    ],
  },
};
