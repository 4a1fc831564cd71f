import type { ProcUse } from '../envoy-config/effective.ts';
import type { Node } from '../envoy-config/node.ts';
import { needsExtProc } from '../route-policy.ts';
import type { EnvoyRule } from './context.ts';
import type { Finding } from './finding.ts';

const AUTHZ_METADATA = 'envoy.filters.http.ext_authz';
const GRACEFUL_CLOSE = 'envoy.reloadable_features.ext_proc_graceful_grpc_close';

/** V-22: a route whose policy ext_proc carries out, where it could not. */
export const procPresent: EnvoyRule = (context) => {
  const { route, policy, authz, proc } = context;
  if (!needsExtProc(policy)) return [];
  const fault = (node: Node, message: string, mend: string): Finding => ({
    code: 'V-22',
    severity: 'error',
    node,
    message,
    mend,
    route: route.label,
  });
  const [use] = proc.filter((one) => one.runs === 'yes');
  const [idle] = proc;
  if (!use) {
    if (!idle)
      return [
        fault(
          route.node,
          'the policy needs ext_proc, but no ext_proc filter calls the service',
          'add the ext_proc filter after ext_authz, with the same cluster',
        ),
      ];
    if (idle.runs === 'maybe')
      return [
        fault(
          idle.filter.node,
          'the policy needs ext_proc, which runs only where a matcher lets it',
          'put ext_proc into `http_filters` itself',
        ),
      ];
    return idle.rerouted
      ? [
          fault(
            idle.switchedAt,
            'the policy needs ext_proc, but the route has it call another service',
            'remove the override of the service',
          ),
        ]
      : [
          fault(
            idle.switchedAt,
            'the policy needs ext_proc, but it is disabled for the route',
            'enable ext_proc for the route',
          ),
        ];
  }
  const early = authz.some((one) => one.runs === 'yes' && use.filter.index < one.filter.index);
  return [
    ...(early
      ? [
          fault(
            use.filter.node,
            'ext_proc stands before ext_authz, so nothing is decided yet when it runs',
            'move it behind ext_authz',
          ),
        ]
      : []),
    ...procSettings(use, fault),
    ...(authz.some((one) => one.filter.config.get('enable_dynamic_metadata_ingestion').value === false)
      ? [
          fault(
            use.filter.node,
            'ext_authz drops the dynamic metadata that ext_proc works from',
            'remove `enable_dynamic_metadata_ingestion: false` from ext_authz',
          ),
        ]
      : []),
  ];
};

function procSettings(use: ProcUse, fault: (node: Node, message: string, mend: string) => Finding): Finding[] {
  const { config } = use.filter;
  const findings: Finding[] = [];
  const add = (wrong: boolean, node: Node, message: string, mend: string) =>
    wrong && findings.push(fault(node, message, mend));
  const flag = (name: string, message: string) => add(config.get(name).flag(), config.get(name), message, 'remove it');
  add(
    config.get('http_service').there,
    config.get('http_service'),
    'ext_proc calls an HTTP service',
    'use `grpc_service`',
  );
  add(
    use.failureModeAllow.flag(),
    use.failureModeAllow,
    '`failure_mode_allow` lets requests pass without what ext_proc does to them',
    'remove it',
  );
  flag('observability_mode', '`observability_mode` ignores what ext_proc answers');
  flag('disable_immediate_response', '`disable_immediate_response` keeps ext_proc from refusing a request');
  const cache = config.get('route_cache_action');
  add(
    cache.value === 'CLEAR' || cache.value === 1,
    cache,
    'the route is chosen anew after it was judged, so that another policy would apply',
    'remove `route_cache_action: CLEAR`',
  );
  for (const name of ['request_header_mode', 'response_header_mode']) {
    const mode = use.mode.get(name);
    add(
      mode.value === 'SKIP' || mode.value === 2,
      mode,
      `ext_proc does not see ${name.startsWith('request') ? 'requests' : 'responses'}`,
      `set \`${name}: SEND\``,
    );
  }
  const body = use.mode.get('request_body_mode');
  add(
    !['NONE', 'BUFFERED', 0, 2, undefined, null].includes(body.value as string),
    body,
    'ext_proc needs bodies whole',
    'set `request_body_mode: NONE`: the service asks for the bodies it needs',
  );
  add(
    !config.get('allow_mode_override').flag(),
    config.get('allow_mode_override'),
    'without `allow_mode_override` ext_proc cannot ask for the bodies it needs',
    'add `allow_mode_override: true`',
  );
  // Envoy compares whole modes (1.40), and what it does not find there it ignores without a word.
  const modes = config.get('allowed_override_modes');
  add(
    modes.items().length > 0,
    modes,
    '`allowed_override_modes` may keep ext_proc from the bodies it needs',
    'remove it',
  );
  flag(
    'send_body_without_waiting_for_header_response',
    '`send_body_without_waiting_for_header_response` makes Envoy ignore which bodies ext_proc asks for',
  );
  const answer = use.mode.get('response_body_mode');
  add(
    !['NONE', 0, undefined, null].includes(answer.value as string),
    answer,
    'ext_proc would get the bodies of all answers',
    'set `response_body_mode: NONE`: the service asks for those it needs',
  );
  add(
    !use.forwarded.texts().includes(AUTHZ_METADATA),
    use.forwarded,
    'ext_proc is not shown what ext_authz decided',
    `add \`metadata_options: {forwarding_namespaces: {untyped: [${AUTHZ_METADATA}]}}\``,
  );
  add(
    config.get('forward_rules').there,
    config.get('forward_rules'),
    '`forward_rules` hides headers from ext_proc',
    'remove it',
  );
  const rules = config.get('mutation_rules');
  const strict = ['disallow_all', 'disallow_expression', 'disallow_is_error']
    .map((name) => rules.get(name))
    .find((node) => node.there && node.value !== false);
  add(
    strict !== undefined,
    rules,
    '`mutation_rules` may keep ext_proc from changing headers',
    'remove the rules that disallow',
  );
  return findings;
}

/** V-22, a warning: without ext_proc a backend's 401 is not turned into an error of ours, and the credential stays in use. */
export const rejectedCredentials: EnvoyRule = ({ route, policy, proc }) => {
  const { type } = policy.outgoingAuth;
  if (needsExtProc(policy) || (type !== 'upstream_inject' && type !== 'token_exchange')) return [];
  if (proc.some((use) => use.runs === 'yes' && use.mode.get('response_header_mode').value !== 'SKIP')) return [];
  const message = `a backend that rejects the credential of ${type} is not noticed without ext_proc`;
  return [
    {
      code: 'V-22',
      severity: 'warning',
      node: route.node,
      message,
      mend: 'add the ext_proc filter with `response_header_mode: SEND`',
      route: route.label,
    },
  ];
};

/** V-24: Envoy would end every stream of ext_proc with a reset, and Node drops connections that see many of them. */
export const gracefulClose: EnvoyRule = ({ model, proc }) => {
  const uses = proc.filter((use) => use.runs !== 'no');
  if (uses.length === 0 || model.runtime(GRACEFUL_CLOSE) === true) return [];
  const message = `the runtime flag \`${GRACEFUL_CLOSE}\` is not set`;
  return uses.map(({ filter }) => ({
    code: 'V-24',
    severity: 'error',
    node: filter.node,
    message,
    mend: `set it to true in a static layer of \`layered_runtime\``,
  }));
};
