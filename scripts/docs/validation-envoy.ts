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
};
