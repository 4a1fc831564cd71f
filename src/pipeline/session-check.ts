import { type HeaderEdits, isCarriable } from '../core/header-edits.ts';
import type { Identity, User } from '../core/identity.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import type { RequestFacts } from '../core/request-facts.ts';
import { belongsTo, type Session, type Sessions } from '../mcp/session.ts';
import type { RoutePolicy } from '../policy/route-policy.ts';
import { captureValues, restoreValues } from '../propagation/passthrough-capture.ts';

export interface PresentedSession {
  readonly id: string;
  readonly session: Session;
}

export type SessionReading =
  | { readonly kind: 'none' }
  | { readonly kind: 'presented'; readonly presented: PresentedSession }
  | { readonly kind: 'unknown' };

const NONE: SessionReading = { kind: 'none' };
const UNKNOWN: SessionReading = { kind: 'unknown' };

/** The session a request presents on a route with `session.bind`, whatever protocol version it claims. */
export function readSession(facts: RequestFacts, policy: RoutePolicy, sessions: Sessions | undefined): SessionReading {
  if (!policy.session.bind) return NONE;
  const ids = facts.headers.all('mcp-session-id');
  const [id] = ids;
  if (id === undefined) return NONE;
  const session = ids.length === 1 ? sessions?.open(id, policy.backend) : undefined;
  return session ? { kind: 'presented', presented: { id, session } } : UNKNOWN;
}

/** A session is no authentication: it must belong to whom the request itself proves (R8). */
export function refuseSession(reading: SessionReading, identity: Identity): Refusal | undefined {
  if (reading.kind === 'none') return undefined;
  if (reading.kind === 'presented' && belongsTo(reading.presented.session, identity)) return undefined;
  return refuse('session_unknown');
}

/**
 * The session's user for a teardown DELETE that carries no credential, where the route allows it (R14); nothing a
 * request does carry is ever overridden.
 */
export function teardownUser(facts: RequestFacts, policy: RoutePolicy, reading: SessionReading): User | undefined {
  if (policy.session.identityFallback !== 'delete' || facts.method !== 'DELETE' || reading.kind !== 'presented')
    return undefined;
  const { owner } = reading.presented.session;
  // A teardown ends a session and does nothing else.
  const hasBody =
    (facts.body?.length ?? 0) > 0 ||
    Number(facts.headers.get('content-length') ?? '0') > 0 ||
    facts.headers.has('transfer-encoding');
  if (!owner || hasBody) return undefined;
  return {
    kind: 'user',
    issuer: owner.issuer,
    subject: owner.subject,
    authMethod: owner.authMethod as User['authMethod'],
    methodName: owner.methodName,
    claims: { sub: owner.subject },
    attributes: {},
    scopes: new Set(),
    delegationChain: [],
  };
}

/** The backend hears its own id, and the values captured when the session was opened. */
export function writeSession(session: Session, policy: RoutePolicy, edits: HeaderEdits): void {
  edits.set('mcp-session-id', session.backendId);
  if (session.captured && policy.session.passthroughCapture === 'session')
    restoreValues(policy.passthroughHeaders, session.captured, edits);
}

/** What a session would remember has to be something that a later request can carry. */
export function refuseCapture(facts: RequestFacts, policy: RoutePolicy, reading: SessionReading): Refusal | undefined {
  if (policy.session.passthroughCapture !== 'session' || reading.kind !== 'none') return undefined;
  const fits = captureValues(policy.passthroughHeaders, facts.headers).every(([, value]) => isCarriable(value));
  return fits ? undefined : refuse('passthrough_not_utf8');
}
