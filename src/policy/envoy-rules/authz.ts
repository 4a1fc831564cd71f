import type { HttpFilter } from '../envoy-config/model.ts';
import type { Node } from '../envoy-config/node.ts';
import { NAMESPACE, type RoutePolicy } from '../route-policy.ts';
import { carriesToken } from '../rule.ts';
import type { World } from '../world.ts';
import type { EnvoyRule } from './context.ts';
import type { Finding } from './finding.ts';
import { forwardsPolicy } from './own-filters.ts';

/** V-21: settings of ext_authz with which the service could not do its work, or would not be obeyed. */
export function authzSettings(filter: HttpFilter): Finding[] {
  const { config } = filter;
  const findings: Finding[] = [];
  const fault = (node: Node, message: string, mend: string) =>
    findings.push({ code: 'V-21', severity: 'error', node, message, mend });
  const on = (name: string) => config.get(name).flag();
  if (config.get('http_service').there) {
    fault(
      config.get('http_service'),
      'ext_authz calls an HTTP service, which gets no route metadata',
      'use `grpc_service`',
    );
  }
  if (!forwardsPolicy(filter)) {
    fault(
      config.get('route_metadata_context_namespaces'),
      `ext_authz does not forward the \`${NAMESPACE}\` metadata of routes`,
      `add \`route_metadata_context_namespaces: [${NAMESPACE}]\``,
    );
  }
  if (on('failure_mode_allow'))
    fault(
      config.get('failure_mode_allow'),
      '`failure_mode_allow` lets requests pass when the service cannot be reached',
      'remove it',
    );
  if (on('shadow_mode'))
    fault(config.get('shadow_mode'), '`shadow_mode` lets requests pass whatever the service says', 'remove it');
  if (!on('encode_raw_headers')) {
    fault(
      config.get('encode_raw_headers'),
      'without `encode_raw_headers`, repeated headers arrive joined and odd bytes changed',
      'add `encode_raw_headers: true`',
    );
  }
  for (const name of ['allowed_headers', 'disallowed_headers']) {
    if (config.get(name).there)
      fault(config.get(name), `\`${name}\` hides headers from the service that still reach the backend`, 'remove it');
  }
  if (on('clear_route_cache') || config.get('clear_route_cache_headers').there) {
    const node = on('clear_route_cache') ? config.get('clear_route_cache') : config.get('clear_route_cache_headers');
    fault(node, 'the route may be chosen anew after it was judged, so that another policy would apply', 'remove it');
  }
  if (config.get('decoder_header_mutation_rules').there) {
    fault(
      config.get('decoder_header_mutation_rules'),
      '`decoder_header_mutation_rules` may keep the service from removing or setting headers',
      'remove it',
    );
  }
  return findings;
}

/** Envoy's default for gRPC calls of ext_authz. */
const DEFAULT_TIMEOUT_MS = 200;

/** V-21: less time than the identity provider or a token endpoint may need. */
export const authzTimeout: EnvoyRule = ({ route, policy, authz, world }) => {
  const needed = neededMs(policy, world);
  return authz.flatMap((use): Finding[] => {
    if (use.runs === 'no') return [];
    const node = use.service.get('timeout');
    const given = node.there ? node.durationMs() : DEFAULT_TIMEOUT_MS;
    if (given === undefined || given === 0 || given >= needed) return [];
    const message = `ext_authz waits ${given} ms${node.there ? '' : ' (the default)'}, but ${needed === OUTGOING_MS ? 'fetching a credential' : 'checking a token'} may take longer`;
    return [
      {
        code: 'V-21',
        severity: 'error',
        node,
        message,
        mend: `set \`grpc_service.timeout\` to at least ${needed / 1000}s; 5s is usual`,
        route: route.label,
      },
    ];
  });
};

/** A token may need keys or introspection first; a credential for the backend, one more call or two. */
const INCOMING_MS = 1_000;
const OUTGOING_MS = 2_000;

function neededMs(policy: RoutePolicy, world: World): number {
  if (['token_exchange', 'upstream_inject', 'aws_sts'].includes(policy.outgoingAuth.type)) return OUTGOING_MS;
  return policy.incomingAuth.some((name) => carriesToken(world.methods.get(name)?.type)) ? INCOMING_MS : 0;
}
