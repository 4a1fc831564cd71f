import type { HttpFilter, RouteUse } from './model.ts';
import type { Node } from './node.ts';

/** What a filter does on one route, after all overrides. */
export interface FilterUse {
  readonly filter: HttpFilter;
  /** `maybe`: a matcher decides for each request. */
  readonly runs: 'yes' | 'maybe' | 'no';
  /** Where it was switched off, or could be switched on. */
  readonly switchedAt: Node;
  /** What it calls: `grpc_service` or `http_service`. */
  readonly service: Node;
  /** The route has it call something else than the filter says. */
  readonly rerouted: boolean;
}

export interface AuthzUse extends FilterUse {
  /** `check_settings` of the most specific override; Envoy does not merge these. */
  readonly settings: Node | undefined;
}

export interface ProcUse extends FilterUse {
  readonly mode: Node;
  /** Namespaces of dynamic metadata that it is shown. */
  readonly forwarded: Node;
  readonly failureModeAllow: Node;
}

/**
 * The most specific entry decides whether a filter runs; an entry without a message of its own leaves the message to
 * the next level (Envoy 1.40, `PerFilterConfigs`).
 */
function switchOf(filter: HttpFilter, route: RouteUse): { on: boolean; at: Node; messages: Node[] } {
  const overrides = route.overrides(filter.name);
  const [first] = overrides;
  const messages = overrides.flatMap((override) => override.message ?? []);
  return { on: first ? !first.disabled : !filter.offByDefault, at: first?.node ?? filter.node, messages };
}

function runs(on: boolean, filter: HttpFilter): FilterUse['runs'] {
  if (!on) return 'no';
  return filter.conditional ? 'maybe' : 'yes';
}

export function authzOn(filter: HttpFilter, route: RouteUse): AuthzUse {
  const { on, at, messages } = switchOf(filter, route);
  const [message] = messages;
  const settings = message?.get('check_settings');
  const service = settings && present(settings, SERVICES);
  return {
    filter,
    runs: runs(on && !message?.get('disabled').flag(), filter),
    switchedAt: at,
    service: service ?? present(filter.config, SERVICES) ?? filter.config,
    rerouted: service !== undefined,
    settings,
  };
}

/** Unlike ext_authz, ext_proc merges the messages of all levels field by field. */
export function procOn(filter: HttpFilter, route: RouteUse): ProcUse {
  const { on, at, messages } = switchOf(filter, route);
  const overrides = messages.map((message) => message.get('overrides'));
  const first = (...names: string[]) => overrides.map((one) => one.at(...names)).find((node) => node.there);
  const service = first('grpc_service');
  return {
    filter,
    runs: runs(on && !messages[0]?.get('disabled').flag(), filter),
    switchedAt: at,
    service: service ?? present(filter.config, SERVICES) ?? filter.config,
    rerouted: service !== undefined,
    mode: first('processing_mode') ?? filter.config.get('processing_mode'),
    forwarded:
      first('metadata_options', 'forwarding_namespaces')?.get('untyped') ??
      filter.config.at('metadata_options', 'forwarding_namespaces', 'untyped'),
    failureModeAllow: first('failure_mode_allow') ?? filter.config.get('failure_mode_allow'),
  };
}

const SERVICES = ['grpc_service', 'http_service'];

function present(node: Node, names: readonly string[]): Node | undefined {
  return names.map((name) => node.get(name)).find((one) => one.there);
}
