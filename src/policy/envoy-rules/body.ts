import type { AuthzUse } from '../envoy-config/effective.ts';
import type { Node } from '../envoy-config/node.ts';
import type { RouteUse } from '../envoy-config/model.ts';
import { editedMetaKey, needsCheckBody, signsBody } from '../route-policy.ts';
import type { EnvoyRule } from './context.ts';
import type { Finding } from './finding.ts';
import { runningOn } from './other-filters.ts';

/** V-23: a route whose requests are judged by their body, which `Check` does not get, or not as it was sent. */
export const bodyInCheck: EnvoyRule = ({ route, policy, authz }) => {
  if (!needsCheckBody(policy)) return [];
  return authz.flatMap((use): Finding[] => {
    if (use.runs === 'no') return [];
    const findings: Finding[] = [];
    const fault = (node: Node, message: string, mend: string) =>
      findings.push({ code: 'V-23', severity: 'error', node, message, mend, route: route.label });
    const body = use.filter.config.get('with_request_body');
    const own = use.settings?.get('with_request_body');
    if (!body.there) {
      fault(
        body,
        'the route needs the body to decide, but ext_authz does not buffer it',
        'add `with_request_body: {max_request_bytes: 4194304, allow_partial_message: false, pack_as_bytes: true}` to the filter',
      );
    } else if (!body.get('pack_as_bytes').flag()) {
      // Of a per-route `with_request_body` Envoy 1.40 ignores it, so it must stand at the filter.
      fault(
        body.get('pack_as_bytes'),
        'the route needs the body to decide, and as text it arrives changed where it is not UTF-8',
        'add `pack_as_bytes: true` at the filter',
      );
    }
    const partial = (own?.there ? own : body).get('allow_partial_message');
    if (partial.flag())
      fault(
        partial,
        'the route needs the whole body to decide, and `allow_partial_message` cuts it',
        'set `allow_partial_message: false`',
      );
    const disabled = use.settings?.get('disable_request_body_buffering');
    if (disabled?.flag())
      fault(
        disabled,
        'the route needs the body to decide, but switches buffering off',
        'remove `disable_request_body_buffering`',
      );
    return findings;
  });
};

/** Envoy's default for `per_connection_buffer_limit_bytes`. */
const DEFAULT_BUFFER = 1024 * 1024;

/**
 * V-29: buffers smaller than the bodies that are asked for. With ext_proc requests hang (Envoy 1.40); ext_authz raises
 * the limit for itself, so there it is a warning.
 */
export const bufferLimits: EnvoyRule = ({ route, policy, authz, limits }) => {
  const { node, bytes } = bufferOf(route);
  const forProc = editedMetaKey(policy) !== undefined || signsBody(policy) ? limits.maxBody : 0;
  const forCheck = needsCheckBody(policy) ? Math.max(0, ...authz.map(checkBodyBytes)) : 0;
  const needed = forProc > bytes ? forProc : forCheck;
  if (bytes >= needed) return [];
  const held = `the buffer holds ${bytes} bytes${node.there ? '' : ' (the default)'}`;
  return [
    {
      code: 'V-29',
      severity: forProc > bytes ? 'error' : 'warning',
      node,
      message: `${held}, but ${forProc > bytes ? 'ext_proc' : 'ext_authz'} asks for bodies of up to ${needed} bytes`,
      mend: `set \`per_connection_buffer_limit_bytes\` of the listener to ${needed} or more`,
      route: route.label,
    },
  ];
};

const BUFFER = 'envoy.extensions.filters.http.buffer.v3.Buffer';

/**
 * V-35, a warning: bodies that ext_proc edits or signs, with nothing before it that bounds them. Envoy 1.40 stands still
 * where its buffer is full before ext_proc has asked for the body (covered by test/e2e/ext-proc-rough.test.ts). A length
 * that is announced is refused by the service; a length that is not is only known by whoever holds the body.
 */
export const unboundedBodies: EnvoyRule = ({ route, policy, authz, proc }) => {
  if (editedMetaKey(policy) === undefined && !signsBody(policy)) return [];
  const [use] = proc.filter((one) => one.runs === 'yes');
  const asked = authz.filter((one) => one.runs === 'yes');
  if (!use || asked.length === 0 || asked.some(holdsBodies)) return [];
  // Behind ext_authz it comes too late: what was held up there is more than it can hold.
  const first = Math.min(use.filter.index, ...asked.map((one) => one.filter.index));
  if (runningOn(route, BUFFER).some(({ index }) => index < first)) return [];
  return [
    {
      code: 'V-35',
      severity: 'warning',
      node: use.filter.node,
      message: 'a large body of unannounced length hangs for a minute before it is refused, because nothing bounds it',
      mend: `put a filter of type ${BUFFER} with \`max_request_bytes\` before ext_authz, or let ext_authz buffer bodies`,
      route: route.label,
    },
  ];
};

function holdsBodies({ settings, filter }: AuthzUse): boolean {
  if (settings?.get('disable_request_body_buffering').flag()) return false;
  const own = settings?.get('with_request_body');
  const body = own?.there ? own : filter.config.get('with_request_body');
  return body.there && !body.get('allow_partial_message').flag();
}

/** Bytes of the largest body that `Check` gets. */
function checkBodyBytes({ runs, settings, filter }: AuthzUse): number {
  if (runs === 'no') return 0;
  const own = settings?.at('with_request_body', 'max_request_bytes').number();
  return own ?? filter.config.at('with_request_body', 'max_request_bytes').number() ?? 0;
}

/** The setting that bounds the body of a request, and its value. */
function bufferOf({ node, virtualHost, connections }: RouteUse): { node: Node; bytes: number } {
  for (const level of [node, virtualHost]) {
    const own = level.get('request_body_buffer_limit');
    if (own.there) return { node: own, bytes: own.number() ?? 0 };
  }
  const listener = connections.listener.get('per_connection_buffer_limit_bytes');
  const limit = { node: listener, bytes: listener.number() ?? DEFAULT_BUFFER };
  const lower = [node, virtualHost]
    .map((level) => level.get('per_request_buffer_limit_bytes'))
    .find((one) => one.there);
  return lower && (lower.number() ?? 0) < limit.bytes ? { node: lower, bytes: lower.number() ?? 0 } : limit;
}
