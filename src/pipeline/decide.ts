import type { Allow, Decision, Deny } from '../core/decision.ts';
import { HeaderEdits, unfitHeader } from '../core/header-edits.ts';
import type { Identity, User } from '../core/identity.ts';
import { type MaybePromise, whenReady } from '../core/maybe-promise.ts';
import type { Audit, Tools } from '../core/ports.ts';
import { outcomeOf, type Reason, type Refusal, refuse } from '../core/refusal.ts';
import { HeaderFields, type RequestFacts } from '../core/request-facts.ts';
import type { Sealer } from '../core/seal.ts';
import type { McpMessage } from '../mcp/message.ts';
import type { Sessions } from '../mcp/session.ts';
import { SIGNATURE_HEADERS } from '../strategies/aws-signature.ts';
import type { StrategyOutcome } from '../strategies/strategy.ts';
import { answer } from './answer.ts';
import { auditRecord } from './audit-record.ts';
import { authorize } from './authorize.ts';
import { glanceAtBody, readDecidedBody, refuseFraming } from './body.ts';
import { type CountDecision, countDecisions } from './count.ts';
import { ACCOUNT_MISSING, type ConnectLink, settleMissing } from './missing-account.ts';
import { planList } from './list-filter.ts';
import { makePlan, sealPlan } from './plan.ts';
import type { Route } from './route.ts';
import {
  readSession,
  refuseCapture,
  refuseSession,
  type SessionReading,
  teardownUser,
  writeSession,
} from './session-check.ts';

/** What the route's metadata came to: a prepared route, or why there is none. */
export type RouteFinding =
  | { readonly kind: 'route'; readonly route: Route }
  | { readonly kind: 'unusable'; readonly reason: Reason; readonly detail: string };

export interface DeciderParts {
  readonly findRoute: (metadata: Buffer) => RouteFinding;
  readonly allowedOrigins: ReadonlySet<string>;
  /** Bytes. */
  readonly maxBody: number;
  readonly sessions: Sessions | undefined;
  /** Seals what ext_proc has to carry out. */
  readonly planSealer: Sealer;
  readonly connectLink: ConnectLink;
  readonly audit: Audit;
  readonly tools: Tools;
}

export interface Decide {
  (facts: RequestFacts, signal: AbortSignal): MaybePromise<Decision>;
  /** The denial of a call that could not be read or answered; counted and audited like every other. */
  unreadable(reason: Reason, detail: string): Decision;
}

/** What the backend gets besides what every request of the route gets. */
type Outgoing = Pick<Extract<StrategyOutcome, { kind: 'write' }>, 'headers' | 'credential' | 'signing'> & {
  readonly onUnauthorized?: Deny;
};

/** What is learnt on the way, for the answer and the audit. */
interface Course {
  readonly startedMs: number;
  route: Route | undefined;
  identity: Identity | undefined;
  message: McpMessage | undefined;
  session: SessionReading;
}

/**
 * Decides about requests. Every path starts from a refusal; `allow` below is the only place that lets one pass.
 * A throw, a missing policy, an abort of the signal: all end in a denial. Each decision is counted and audited once.
 */
export function createDecider(parts: DeciderParts): Decide {
  const { audit, tools } = parts;
  const duration = tools.metrics.histogram(
    'mcp_identity_check_duration_seconds',
    'Time to decide about a request',
    DURATION_BUCKETS,
  );
  const countUnrouted = countDecisions(tools.metrics, '', '');

  const finish = (
    facts: RequestFacts,
    course: Course,
    reason: string,
    outcome: 'allow' | 'deny' | 'error',
    status: number,
    headersSet: readonly string[],
    detail?: string,
  ) => {
    const elapsedMs = performance.now() - course.startedMs;
    const count: CountDecision = course.route?.count ?? countUnrouted;
    count(outcome, reason);
    duration.observe(elapsedMs / 1000);
    audit.write(
      auditRecord(tools.clock.nowMs(), facts, { ...course, reason, outcome, status, headersSet, elapsedMs, detail }),
    );
  };

  const deny = (facts: RequestFacts, course: Course, refusal: Refusal): Decision => {
    course.message ??= glanceAtBody(facts);
    const denial = answer(refusal, {
      challenges: course.route?.challenges(refusal) ?? [],
      rpcId: course.message?.shape === 'request' ? course.message.idJson : undefined,
    });
    finish(facts, course, refusal.reason, outcomeOf(refusal.reason), denial.status, [], refusal.detail);
    return denial;
  };

  /** The one place that lets a request pass. */
  const allow = (
    facts: RequestFacts,
    course: Course,
    route: Route,
    identity: Identity,
    outgoing: Outgoing,
  ): Decision => {
    const edits = new HeaderEdits();
    route.stripClientHeaders(facts.headers, edits);
    if (course.session.kind === 'presented') writeSession(course.session.presented.session, route.policy, edits);
    for (const [name, value] of route.headerForward) edits.set(name, value);
    if (identity.kind === 'user') tellUser(facts, route, identity, edits);
    for (const [name, value] of outgoing.headers) edits.set(name, value);
    const list = planList(facts, route, identity, course.message);
    // RFC 9110 12.5.3: without the header a backend may encode as it likes, and what is encoded cannot be filtered.
    if (list) edits.set('accept-encoding', 'identity');
    const written = outgoing.signing ? [...edits.names(), ...SIGNATURE_HEADERS] : edits.names();
    const unfit = unfitHeader(edits);
    if (unfit !== undefined)
      return deny(facts, course, refuse('internal', { detail: `the value of ${unfit} cannot be carried in a header` }));
    const handoff = route.extProc ? handOver(facts, course, route, identity, outgoing, written, list) : undefined;
    finish(facts, course, 'ok', 'allow', 200, written); // last: the audit says only what happens
    return { kind: 'allow', edits, ...(handoff === undefined ? {} : { handoff }) } satisfies Allow;
  };

  const handOver = (
    facts: RequestFacts,
    course: Course,
    route: Route,
    identity: Identity,
    outgoing: Outgoing,
    written: readonly string[],
    list: ReturnType<typeof planList>,
  ): string => {
    const { session, message } = course;
    const plan = makePlan({
      facts,
      route,
      identity,
      session,
      message,
      credential: outgoing.credential,
      signing: outgoing.signing,
      list,
      onUnauthorized: outgoing.onUnauthorized,
      written,
      maxBody: parts.maxBody,
    });
    return sealPlan(parts.planSealer, plan, facts.headers.get('x-request-id') ?? '');
  };

  /** What the strategy came back with. */
  const settle = (
    facts: RequestFacts,
    course: Course,
    route: Route,
    identity: Identity,
    outcome: StrategyOutcome,
  ): Decision => {
    if (outcome.kind === 'refused') return deny(facts, course, outcome.refusal);
    if (outcome.kind === 'write') return allow(facts, course, route, identity, outcome);
    if (!course.message) {
      const reading = facts.body ? readDecidedBody(facts, parts.maxBody) : undefined;
      if (reading?.kind === 'refused') return deny(facts, course, reading.refusal);
      if (reading?.kind === 'message') course.message = reading.message;
    }
    const missing = settleMissing(outcome, facts, identity, course.message, course.session, parts.connectLink);
    if (missing.kind === 'forward')
      return allow(facts, course, route, identity, { headers: [], onUnauthorized: missing.onUnauthorized });
    finish(facts, course, ACCOUNT_MISSING.reason, 'deny', missing.deny.status, []);
    return missing.deny;
  };

  const judge = (facts: RequestFacts, course: Course, signal: AbortSignal): MaybePromise<Decision> => {
    if (!facts.routeMetadata)
      return deny(
        facts,
        course,
        refuse('policy_missing', {
          detail: 'the route has no mcp.identity metadata, or ext_authz does not forward it',
        }),
      );
    if (audit.broken) return deny(facts, course, refuse('audit_unavailable'));
    const finding = parts.findRoute(facts.routeMetadata);
    if (finding.kind === 'unusable') return deny(facts, course, refuse(finding.reason, { detail: finding.detail }));
    const { route } = finding;
    course.route = route;
    if (!originAllowed(facts, parts.allowedOrigins)) return deny(facts, course, refuse('origin_denied'));

    return whenReady(route.authenticate(facts, signal), (outcome) => {
      course.session = readSession(facts, route.policy, parts.sessions);
      const credentialFree =
        outcome.kind === 'rejected'
          ? outcome.refusal.reason === 'credential_missing'
          : outcome.identity.kind === 'anonymous';
      const teardown = credentialFree ? teardownUser(facts, route.policy, course.session) : undefined;
      if (outcome.kind === 'rejected' && !teardown) return deny(facts, course, outcome.refusal);
      const identity = teardown ?? (outcome as { identity: Identity }).identity;
      course.identity = identity;

      const refusal =
        readBody(facts, course, route) ??
        (teardown ? undefined : authorize(identity, course.message, route.policy.scopes, route.toolRule)) ??
        refuseSession(course.session, identity) ??
        refuseCapture(facts, route.policy, course.session);
      if (refusal) return deny(facts, course, refusal);
      return whenReady(route.strategy.credential(identity, signal), (outgoing) =>
        settle(facts, course, route, identity, outgoing),
      );
    });
  };

  /** Reads what this route needs of the body; where nothing depends on it, only a glance for the audit. */
  const readBody = (facts: RequestFacts, course: Course, route: Route): Refusal | undefined => {
    if (route.decidesOnBody) {
      const reading = readDecidedBody(facts, parts.maxBody, route.metaKey);
      if (reading.kind === 'message') course.message = reading.message;
      return reading.kind === 'refused' ? reading.refusal : undefined;
    }
    course.message = glanceAtBody(facts);
    return route.metaKey === undefined ? undefined : refuseFraming(facts, parts.maxBody);
  };

  const decide = (facts: RequestFacts, signal: AbortSignal): MaybePromise<Decision> => {
    const course = newCourse();
    const broken = (error: unknown): Decision => {
      if (signal.aborted) return deny(facts, course, refuse('deadline_exceeded'));
      tools.log.error('a request could not be decided', {
        request_id: facts.requestId,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
      return deny(facts, course, refuse('internal'));
    };
    try {
      const decision = judge(facts, course, signal);
      return decision instanceof Promise ? decision.catch(broken) : decision;
    } catch (error) {
      return broken(error);
    }
  };
  return Object.assign(decide, {
    unreadable: (reason: Reason, detail: string) => deny(NOTHING_READ, newCourse(), refuse(reason, { detail })),
  });
}

function newCourse(): Course {
  return {
    startedMs: performance.now(),
    route: undefined,
    identity: undefined,
    message: undefined,
    session: { kind: 'none' },
  };
}

const NOTHING_READ: RequestFacts = {
  requestId: '',
  method: '',
  path: '',
  host: '',
  scheme: '',
  headers: new HeaderFields([]),
  body: undefined,
  bodyAsText: false,
  peer: { address: '', principal: '' },
  routeMetadata: undefined,
};

/** Identity headers of the route. A body that ext_proc is going to edit is signed there, over its final bytes. */
function tellUser(facts: RequestFacts, route: Route, user: User, edits: HeaderEdits): void {
  for (const [name, value] of route.forwardUser?.(user) ?? []) edits.set(name, value);
  const { assertions, metaKey } = route;
  if (!assertions) return;
  const body = metaKey === undefined && !facts.bodyAsText ? facts.body : undefined;
  edits.set(assertions.header, assertions.sign(assertions.claims(user, facts.method), body));
}

/** Browsers send Origin; a page of another origin must not drive an MCP server (MCP, DNS rebinding). */
function originAllowed(facts: RequestFacts, allowed: ReadonlySet<string>): boolean {
  const first = facts.headers.get('origin');
  if (first === undefined) return true;
  return facts.headers.all('origin').every((origin) => allowed.has(origin.toLowerCase()));
}

const DURATION_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];
