import type { Node } from '../envoy-config/node.ts';
import type { AuthzUse } from '../envoy-config/effective.ts';
import type { Connections, RouteUse } from '../envoy-config/model.ts';
import { NAMESPACE } from '../route-policy.ts';
import type { EnvoyRule } from './context.ts';
import type { Finding } from './finding.ts';
import { forwardsPolicy, type OwnFilters } from './own-filters.ts';

/** V-20: a route that the service is asked about without being told what applies there. Each request would be answered 500. */
export function policyMissing(route: RouteUse, authz: readonly AuthzUse[]): Finding[] {
  if (route.policy.there || !authz.some((use) => use.runs === 'yes')) return [];
  const { node, virtualHost, name } = route;
  const misplaced = virtualHost.at('metadata', 'filter_metadata').entry(NAMESPACE).there;
  const mend = misplaced
    ? 'move the metadata from the virtual host to the route: Envoy forwards that of routes only'
    : `add it, or disable ext_authz for this route`;
  return [
    {
      code: 'V-20',
      severity: 'error',
      node,
      message: `the route ${name} goes through ext_authz, but has no \`${NAMESPACE}\` metadata`,
      mend,
    },
  ];
}

/** V-25: a policy that is not enforced, or not for every request. */
export const authzMissing: EnvoyRule = ({ route, authz, model }) => {
  const fault = (node: Node, message: string, mend: string): Finding[] => [
    { code: 'V-25', severity: 'error', node, message, mend, route: route.label },
  ];
  const [first] = authz;
  if (!first)
    return fault(
      route.node,
      'the route has a policy, but no ext_authz filter enforces it',
      'add the ext_authz filter to `http_filters`',
    );
  const partly = authz.map((use) => partlyEnabled(use, model.runtime));
  if (authz.some((use, i) => use.runs === 'yes' && !partly[i])) return [];
  if (first.runs === 'no') {
    return first.rerouted
      ? fault(
          first.switchedAt,
          'the route has a policy, but its ext_authz asks another service',
          'remove the override of the service',
        )
      : fault(
          first.switchedAt,
          'the route has a policy, but ext_authz is disabled for it',
          'enable ext_authz for the route, or remove its policy',
        );
  }
  if (first.runs === 'maybe')
    return fault(
      first.filter.node,
      'ext_authz runs only where a matcher lets it',
      'put ext_authz into `http_filters` itself',
    );
  const part = partly[0];
  return part
    ? fault(part, 'ext_authz is enabled for a part of the requests only', 'remove it, so that every request is judged')
    : [];
};

/** The setting that switches the filter on for some requests only. */
export function partlyEnabled({ filter: { config } }: AuthzUse, runtime: (key: string) => unknown): Node | undefined {
  const byMetadata = config.get('filter_enabled_metadata');
  if (byMetadata.there) return byMetadata;
  const enabled = config.get('filter_enabled');
  if (!enabled.there) return undefined;
  const { numerator, denominator } = {
    numerator: enabled.at('default_value', 'numerator').number() ?? 0,
    denominator: enabled.at('default_value', 'denominator').value,
  };
  const whole =
    denominator === 'MILLION' || denominator === 2
      ? 1_000_000
      : denominator === 'TEN_THOUSAND' || denominator === 1
        ? 10_000
        : 100;
  const now = runtime(enabled.get('runtime_key').text());
  return numerator < whole || (now !== undefined && Number(now) < 100) ? enabled : undefined;
}

/** V-25: upgraded connections that go past ext_authz through filters of their own. */
export function upgradesPastAuthz(connections: Connections, own: OwnFilters): Finding[] {
  if (own.authz.length === 0) return [];
  return connections.upgrades
    .filter(
      ({ filters }) =>
        !filters.some(
          (filter) =>
            filter.kind === 'ext_authz' && !filter.offByDefault && !filter.conditional && forwardsPolicy(filter),
        ),
    )
    .map(({ node, type }) => ({
      code: 'V-25',
      severity: 'error',
      node,
      message: `requests that upgrade to ${type} run through filters of their own, without ext_authz`,
      mend: 'remove `filters` from the upgrade, or put ext_authz into them',
    }));
}
