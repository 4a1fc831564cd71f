import type { Node } from '../envoy-config/node.ts';
import type { EnvoyRule } from './context.ts';
import type { Finding } from './finding.ts';

const PATH_REWRITES = ['prefix_rewrite', 'regex_rewrite', 'path_rewrite_policy', 'path_rewrite'];
const HOST_REWRITES = [
  'host_rewrite_literal',
  'auto_host_rewrite',
  'host_rewrite_header',
  'host_rewrite_path_regex',
  'host_rewrite',
];

/** V-28: the signature covers host and path; what the router changes afterwards breaks it. */
export const signedRewrites: EnvoyRule = ({ route, policy: { outgoingAuth } }) => {
  if (outgoingAuth.type !== 'aws_sts') return [];
  const action = route.node.get('route');
  const { host } = outgoingAuth.awsSts;
  const paths = PATH_REWRITES.map((name) => action.get(name)).filter((node) => node.there && node.value !== '');
  const places = [action, ...action.at('weighted_clusters', 'clusters').items()];
  const hosts = places
    .flatMap((place) => HOST_REWRITES.map((name) => place.get(name)))
    .filter((node) => node.there && node.value !== false && node.value !== '' && node.value !== host);
  const fault =
    (what: string, mend: string) =>
    (node: Node): Finding => ({
      code: 'V-28',
      severity: 'error',
      node,
      message: `the ${what} is rewritten after the request was signed for AWS`,
      mend,
      route: route.label,
    });
  return [
    ...paths.map(fault('path', 'let clients use the path of the backend')),
    ...hosts.map(fault('host', 'remove it: the service sets the host to `awsSts.host`')),
  ];
};

/** Envoy's defaults, which suit short answers. */
const ROUTE_TIMEOUT_MS = 15_000;
const IDLE_TIMEOUT_MS = 300_000;

/** V-29, a warning: MCP answers are event streams that may last, and may be silent, for longer. */
export const streamTimeouts: EnvoyRule = ({ route }) => {
  if (!route.forwards) return [];
  const action = route.node.get('route');
  const { manager } = route.connections;
  const own = action.get('idle_timeout');
  const idle = own.there ? own : manager.get('stream_idle_timeout');
  const longest = action.at('max_stream_duration', 'max_stream_duration');
  return [
    ...cut(
      action.get('timeout'),
      ROUTE_TIMEOUT_MS,
      'the route timeout cuts event streams',
      'set `timeout: 0s`',
      route.label,
    ),
    ...cut(
      idle,
      IDLE_TIMEOUT_MS,
      'the idle timeout cuts silent event streams',
      'set `stream_idle_timeout: 0s`',
      route.label,
    ),
    ...cut(longest, 0, 'the longest stream duration cuts event streams', 'remove it', route.label),
  ];
};

function cut(node: Node, fallbackMs: number, what: string, mend: string, route: string): Finding[] {
  const ms = node.there ? node.durationMs() : fallbackMs;
  if (ms === 0 || ms === undefined) return [];
  return [
    {
      code: 'V-29',
      severity: 'warning',
      node,
      message: `${what} after ${ms / 1000} s${node.there ? '' : ' (the default)'}`,
      mend,
      route,
    },
  ];
}
