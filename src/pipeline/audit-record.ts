import type { Identity } from '../core/identity.ts';
import type { AuditRecord } from '../core/ports.ts';
import type { RequestFacts } from '../core/request-facts.ts';
import type { McpMessage } from '../mcp/message.ts';
import type { Route } from './route.ts';

export interface Decided {
  readonly route: Route | undefined;
  readonly identity: Identity | undefined;
  readonly message: Pick<McpMessage, 'method' | 'name' | 'uri'> | undefined;
  readonly outcome: 'allow' | 'deny' | 'error';
  readonly reason: string;
  readonly status: number;
  readonly headersSet: readonly string[];
  readonly elapsedMs: number;
  readonly detail: string | undefined;
}

/** An outsider's text in the audit is cut here, so that nobody can flood the log with one request. */
const TEXT_LIMIT = 256;

/** The audit line of one decision (contract §7); `detail` says more about a refusal and never holds a value of the request. */
export function auditRecord(nowMs: number, facts: RequestFacts, decided: Decided): AuditRecord {
  return {
    time: new Date(nowMs).toISOString(),
    event: 'decision',
    outcome: decided.outcome,
    reason: decided.reason,
    ...(decided.detail === undefined ? {} : { detail: decided.detail }),
    status: decided.status,
    ...auditIdentity(facts, decided),
    headers_set: decided.headersSet,
    duration_ms: Math.round(decided.elapsedMs * 1000) / 1000,
  };
}

/** Who called what: the part that the lines of one request share. */
export function auditIdentity(
  facts: RequestFacts,
  { route, identity, message }: Pick<Decided, 'route' | 'identity' | 'message'>,
): Record<string, unknown> {
  const user = identity?.kind === 'user' ? identity : undefined;
  const name = message?.name ?? message?.uri;
  return {
    request_id: cut(facts.requestId),
    trace_id: facts.trace?.traceId ?? null,
    issuer: user?.issuer ?? null,
    subject: user?.subject ?? null,
    auth_method: user?.authMethod ?? (identity ? 'anonymous' : null),
    incoming_auth: user?.methodName ?? null,
    acting_as: user?.delegationChain[0] ?? null,
    delegation_chain: user && user.delegationChain.length > 0 ? user.delegationChain : null,
    backend: route?.policy.backend ?? null,
    mcp_method: message?.method === undefined ? null : cut(message.method),
    mcp_name: name === undefined ? null : cut(name),
    strategy: route?.policy.outgoingAuth.type ?? null,
  };
}

function cut(text: string): string {
  return text.length > TEXT_LIMIT ? `${text.slice(0, TEXT_LIMIT)}…` : text;
}
