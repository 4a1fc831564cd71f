import type { RouteUse } from '../envoy-config/model.ts';
import type { RoutePolicy } from '../route-policy.ts';
import type { World } from '../world.ts';
import type { Finding } from './finding.ts';

/**
 * V-04: routes of one resource that accept tokens of different issuers. Its metadata document (RFC 9728) lists all of
 * them, so clients would fetch tokens that some of the routes refuse.
 */
export function sharedResources(routes: Iterable<readonly [RouteUse, RoutePolicy]>, world: World): Finding[] {
  const first = new Map<string, { issuers: string; label: string }>();
  const findings: Finding[] = [];
  for (const [route, policy] of routes) {
    if (policy.resource === undefined) continue;
    const issuers = [...new Set(policy.incomingAuth.flatMap((name) => world.methods.get(name)?.issuer ?? []))]
      .sort()
      .join(', ');
    const other = first.get(policy.resource);
    if (!other) first.set(policy.resource, { issuers, label: route.name });
    else if (other.issuers !== issuers) {
      const message = `shares its resource with the route ${other.label}, which accepts other issuers (${other.issuers || 'none'} there, ${issuers || 'none'} here)`;
      findings.push({
        code: 'V-04',
        severity: 'error',
        node: route.policy.get('resource'),
        message,
        mend: 'accept the same issuers on both, or give them resources of their own',
      });
    }
  }
  return findings;
}
