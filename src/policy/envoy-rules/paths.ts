import type { Connections, RouteUse } from '../envoy-config/model.ts';
import type { Node } from '../envoy-config/node.ts';
import type { RoutePolicy } from '../route-policy.ts';
import type { Finding } from './finding.ts';

const ESCAPED_SLASHES = 'path_with_escaped_slashes_action';
/** Numbers of PathWithEscapedSlashesAction are accepted as well. */
const SAFE_ACTIONS: ReadonlySet<unknown> = new Set([
  'REJECT_REQUEST',
  'UNESCAPE_AND_REDIRECT',
  'UNESCAPE_AND_FORWARD',
  2,
  3,
  4,
]);

/**
 * V-33, a warning: routes with different policies are told apart by paths that clients can write in several ways.
 * `/open/../closed/mcp`, `/open/..%2fclosed/mcp` and `//closed/mcp` are matched as they stand, and the backend may read
 * all of them as `/closed/mcp`. An exact match lets none of these through.
 */
export function ambiguousPaths(routes: Iterable<readonly [RouteUse, RoutePolicy]>): Finding[] {
  type Host = { readonly policies: Set<RoutePolicy>; readonly loose: RouteUse[] };
  const hosts = new Map<Connections, Map<unknown, Host>>();
  for (const [route, policy] of routes) {
    const byHost = hosts.get(route.connections) ?? new Map<unknown, Host>();
    hosts.set(route.connections, byHost);
    const host = byHost.get(route.virtualHost.value) ?? { policies: new Set(), loose: [] };
    byHost.set(route.virtualHost.value, host);
    host.policies.add(policy);
    if (route.forwards && !route.node.at('match', 'path').there) host.loose.push(route);
  }
  return [...hosts].flatMap(([{ manager }, byHost]) => {
    const loose = [...byHost.values()].flatMap((host) => (host.policies.size > 1 ? host.loose : []));
    return loose.length === 0 ? [] : unsafe(manager).flatMap((make) => loose.map((route) => make(route.label)));
  });
}

function unsafe(manager: Node): ((route: string) => Finding)[] {
  const finding = (node: Node, what: string, mend: string) => (route: string) =>
    ({
      code: 'V-33',
      severity: 'warning',
      node,
      message: `${what}, so a path may be judged by the policy of one route and served as that of another`,
      mend: `${mend}, or match by \`path\``,
      route,
    }) as const;
  const normal = manager.get('normalize_path');
  const merge = manager.get('merge_slashes');
  const action = manager.get(ESCAPED_SLASHES);
  return [
    ...(normal.flag() ? [] : [finding(normal, '`.` and `..` stay in paths', 'set `normalize_path: true`')]),
    ...(merge.flag() ? [] : [finding(merge, 'slashes stay doubled in paths', 'set `merge_slashes: true`')]),
    ...(SAFE_ACTIONS.has(action.value)
      ? []
      : [finding(action, 'slashes stay escaped in paths', `set \`${ESCAPED_SLASHES}: REJECT_REQUEST\``)]),
  ];
}
