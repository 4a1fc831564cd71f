import type { Deny } from '../core/decision.ts';
import type { Identity } from '../core/identity.ts';
import type { RequestFacts } from '../core/request-facts.ts';
import type { Sealer } from '../core/seal.ts';
import type { TraceContext } from '../core/trace-context.ts';
import type { McpMessage } from '../mcp/message.ts';
import type { Session } from '../mcp/session.ts';
import type { AssertionClaims } from '../propagation/assertion.ts';
import { propagated } from '../propagation/forwarded-user.ts';
import { captureValues } from '../propagation/passthrough-capture.ts';
import { type AwsSigning, type SigningPlan, signingPlan } from '../strategies/aws-signature.ts';
import { auditIdentity } from './audit-record.ts';
import type { ListPlan } from './list-filter.ts';
import type { Route } from './route.ts';
import type { SessionReading } from './session-check.ts';

/**
 * What `Check` decided and `Process` has to carry out. It travels through Envoy's dynamic metadata, sealed and bound
 * to the request id: identity is personal data, and access logs may print metadata.
 */
export interface Plan {
  readonly backend: string;
  readonly strategy: string;
  /** Bytes. */
  readonly maxBody: number;
  /** Set `params._meta[key]` of requests to this JSON, or take the client's away when null. */
  readonly meta?: { readonly key: string; readonly json: string | null };
  /** The header with the assertion over the final body; `sign` says with which key. */
  readonly assertion?: { readonly header: string; readonly sign: 'jws' | 'hmac'; readonly claims: AssertionClaims };
  readonly session?: SessionPlan;
  /** The backend got a credential of ours: its 401 is our affair, not the client's. */
  readonly credential?: { readonly invalidate?: unknown };
  /** Sign the request for AWS, after every other edit. */
  readonly sign?: SigningPlan;
  /** Filter the lists of tools in the answer. */
  readonly list?: ListPlan;
  /** The session stands in for a credential, which is good for ending it only: nothing may follow the headers. */
  readonly bodiless?: true;
  /** What the client hears when the backend wants a credential that the user has not connected yet. */
  readonly onUnauthorized?: Deny;
  /** Lower-case names of response headers the client must not see. */
  readonly hide: readonly string[];
  /** JSON text of the JSON-RPC id, when `Check` saw it. */
  readonly rpcId?: string;
  /** The span of the decision, where one is known. */
  readonly trace?: TraceContext;
  /** Fields of the audit line about the response. */
  readonly audit: Readonly<Record<string, unknown>>;
}

export interface SessionPlan {
  /** The id the client presented and what the backend calls it. */
  readonly presented?: { readonly id: string; readonly backendId: string };
  /** A session that the response may open; undefined where it may not. The client's capability is read from the body where `Check` had none. */
  readonly opens?: Omit<Session, 'backendId' | 'createdMs' | 'elicitationUrl'> & {
    readonly elicitationUrl: boolean | null;
  };
}

/** Key inside the dynamic metadata of ext_authz. */
export const PLAN_FIELD = 'mcp.identity.plan';

export function sealPlan(sealer: Sealer, plan: Plan, requestId: string): string {
  return sealer.seal(JSON.stringify(plan), [requestId]);
}

/** @returns undefined when the plan was not made by us for this request */
export function openPlan(sealer: Sealer, sealed: string, requestId: string): Plan | undefined {
  const opened = sealer.open(sealed, [requestId]);
  return opened.ok ? (JSON.parse(opened.plaintext.toString('utf8')) as Plan) : undefined;
}

export interface PlanInput {
  readonly facts: RequestFacts;
  readonly route: Route;
  readonly identity: Identity;
  readonly session: SessionReading;
  readonly message: McpMessage | undefined;
  readonly credential: Plan['credential'];
  readonly signing: AwsSigning | undefined;
  readonly list: ListPlan | undefined;
  readonly onUnauthorized: Deny | undefined;
  readonly bodiless: boolean;
  /** Lower-case names of the headers written into the request. */
  readonly written: readonly string[];
  readonly maxBody: number;
}

/** Never for a client's eyes in a response: challenges of other services, and what we wrote if a backend echoes it. */
const HIDDEN = ['www-authenticate', 'proxy-authenticate', 'authorization'];

/** Everything `Process` needs, worked out by `Check`. */
export function makePlan(input: PlanInput): Plan {
  const { facts, route, identity, session, message } = input;
  const { policy } = route;
  // What is no secret and no identity may be a header of the answer too.
  const harmless = new Set([
    'mcp-session-id',
    ...Object.keys(policy.headerForward.plaintext).map((name) => name.toLowerCase()),
  ]);
  return {
    backend: policy.backend,
    strategy: policy.outgoingAuth.type,
    maxBody: input.maxBody,
    ...(route.metaKey === undefined ? {} : { meta: { key: route.metaKey, json: metaJson(facts, route, identity) } }),
    ...assertionPlan(facts, route, identity),
    ...(policy.session.bind ? { session: sessionPlan(input) } : {}),
    ...(input.credential || Object.keys(policy.headerForward.secrets).length > 0
      ? { credential: input.credential ?? {} }
      : {}),
    ...(input.signing === undefined ? {} : { sign: signingPlan(input.signing) }),
    ...(input.list === undefined ? {} : { list: input.list }),
    ...(input.bodiless ? { bodiless: true } : {}),
    ...(input.onUnauthorized === undefined ? {} : { onUnauthorized: input.onUnauthorized }),
    hide: [...HIDDEN, ...input.written.filter((name) => !harmless.has(name))],
    ...(message?.shape === 'request' && message.idJson !== undefined ? { rpcId: message.idJson } : {}),
    ...(facts.trace === undefined ? {} : { trace: facts.trace }),
    audit: auditIdentity(facts, { route, identity, message }),
  };

  function sessionPlan({ facts: { headers, method } }: PlanInput): SessionPlan {
    const presented =
      session.kind === 'presented'
        ? { presented: { id: session.presented.id, backendId: session.presented.session.backendId } }
        : {};
    if (method !== 'POST') return presented; // MCP 2025-11-25, Session Management: a session begins with `initialize`
    const known = message?.clientElicitationUrl ?? null;
    const owner =
      identity.kind === 'user'
        ? {
            issuer: identity.issuer,
            subject: identity.subject,
            methodName: identity.methodName,
            authMethod: identity.authMethod,
          }
        : null;
    return {
      ...presented,
      opens: {
        owner,
        // Without the body, a request that may open a session has to be read by ext_proc.
        elicitationUrl: session.kind === 'presented' ? (known ?? false) : known,
        ...(policy.session.passthroughCapture === 'session'
          ? { captured: captureValues(policy.passthroughHeaders, headers) }
          : {}),
      },
    };
  }
}

function metaJson(facts: RequestFacts, { policy, assertions }: Route, identity: Identity): string | null {
  const propagation = policy.identityPropagation;
  if (identity.kind !== 'user' || !propagation) return null;
  const assertion = assertions && { assertion: assertions.sign(assertions.claims(identity, facts.method)) };
  return JSON.stringify({ ...propagated(identity, propagation), ...assertion });
}

/** Where the body is edited after `Check`, the header's assertion is made again over what the backend gets. */
function assertionPlan(
  facts: RequestFacts,
  { policy, assertions, metaKey }: Route,
  identity: Identity,
): Pick<Plan, 'assertion'> {
  const sign = policy.identityPropagation?.sign ?? 'none';
  if (!assertions || sign === 'none' || metaKey === undefined || identity.kind !== 'user') return {};
  return { assertion: { header: assertions.header, sign, claims: assertions.claims(identity, facts.method) } };
}
