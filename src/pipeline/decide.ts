import type { Allow, Decision, Deny } from '../core/decision.ts';
import { HeaderEdits, unfitHeader } from '../core/header-edits.ts';
import type { Identity, User } from '../core/identity.ts';
import { type MaybePromise, whenReady } from '../core/maybe-promise.ts';
import type { Audit, Tools } from '../core/ports.ts';
import { type Reason, type Refusal, refuse } from '../core/refusal.ts';
import type { RequestFacts } from '../core/request-facts.ts';
import type { Sealer } from '../core/seal.ts';
import type { Sessions } from '../mcp/session.ts';
import { SIGNATURE_HEADERS } from '../strategies/aws-signature.ts';
import type { StrategyOutcome } from '../strategies/strategy.ts';
import { authorize } from './authorize.ts';
import { glanceAtBody, readDecidedBody, refuseFraming } from './body.ts';
import { beginCourse, type Course, createEndings, NOTHING_READ } from './course.ts';
import type { RouteFinding } from './find-route.ts';
import { planList } from './list-filter.ts';
import { ACCOUNT_MISSING, type ConnectLink, settleMissing } from './missing-account.ts';
import { makePlan, sealPlan } from './plan.ts';
import type { Route } from './route.ts';
import { readSession, refuseCapture, refuseSession, teardownUser, writeSession } from './session-check.ts';

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

/**
 * Decides about requests. Every path starts from a refusal; `allow` below is the only place that lets one pass.
 * A throw, a missing policy, an abort of the signal: all end in a denial. Each decision is counted and audited once.
 */
export function createDecider(parts: DeciderParts): Decide {
  const { audit, tools } = parts;
  const { finish, deny } = createEndings(audit, tools);
  const seen = (check: string, refusal: Refusal | undefined, note?: string): Refusal | undefined => {
    tools.observe?.({ check, refusal, ...(note !== undefined && { note }) });
    return refusal;
  };

  /** The one place that lets a request pass. */
  const allow = (course: Course, route: Route, identity: Identity, outgoing: Outgoing): Decision => {
    const { facts } = course;
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
      return deny(course, refuse('internal', { detail: `the value of ${unfit} cannot be carried in a header` }));
    const handoff = route.extProc ? handOver(course, route, identity, outgoing, written, list) : undefined;
    finish(course, { reason: 'ok', outcome: 'allow', status: 200, headersSet: written }); // last: the audit says only what happens
    return { kind: 'allow', edits, ...(handoff === undefined ? {} : { handoff }) } satisfies Allow;
  };

  const handOver = (
    { facts, session, message, teardown }: Course,
    route: Route,
    identity: Identity,
    { credential, signing, onUnauthorized }: Outgoing,
    written: readonly string[],
    list: ReturnType<typeof planList>,
  ): string => {
    const { maxBody } = parts;
    const plan = makePlan({
      facts,
      route,
      identity,
      session,
      message,
      credential,
      signing,
      list,
      onUnauthorized,
      bodiless: teardown,
      written,
      maxBody,
    });
    return sealPlan(parts.planSealer, plan, facts.headers.get('x-request-id') ?? '');
  };

  /** What the strategy came back with. */
  const settle = (course: Course, route: Route, identity: Identity, outcome: StrategyOutcome): Decision => {
    if (outcome.kind === 'refused') {
      seen('strategy', outcome.refusal);
      return deny(course, outcome.refusal);
    }
    seen('strategy', undefined, outcome.kind === 'unconnected' ? 'no account is connected' : undefined);
    if (outcome.kind === 'write') return allow(course, route, identity, outcome);
    const { facts } = course;
    if (!course.message) {
      const reading = facts.body ? readDecidedBody(facts, parts.maxBody) : undefined;
      if (reading?.kind === 'refused') return deny(course, reading.refusal);
      if (reading?.kind === 'message') course.message = reading.message;
    }
    const missing = settleMissing(outcome, facts, identity, course.message, course.session, parts.connectLink);
    if (missing.kind === 'forward')
      return allow(course, route, identity, { headers: [], onUnauthorized: missing.onUnauthorized });
    finish(course, { reason: ACCOUNT_MISSING.reason, outcome: 'deny', status: missing.deny.status });
    return missing.deny;
  };

  const judge = (course: Course, signal: AbortSignal): MaybePromise<Decision> => {
    const { facts } = course;
    if (audit.broken && facts.routeMetadata) return deny(course, refuse('audit_unavailable'));
    const finding = facts.routeMetadata ? parts.findRoute(facts.routeMetadata) : NO_POLICY;
    if (finding.kind === 'unusable') {
      const unusable = refuse(finding.reason, { detail: finding.detail });
      seen('policy', unusable);
      return deny(course, unusable);
    }
    seen('policy', undefined);
    const { route } = finding;
    course.route = route;
    const stranger = seen('origin', originAllowed(facts, parts.allowedOrigins) ? undefined : refuse('origin_denied'));
    if (stranger) return deny(course, stranger);

    return whenReady(route.authenticate(facts, signal), (outcome) => {
      course.session = readSession(facts, route.policy, parts.sessions);
      const credentialFree =
        outcome.kind === 'rejected'
          ? outcome.refusal.reason === 'credential_missing'
          : outcome.identity.kind === 'anonymous';
      const teardown = credentialFree ? teardownUser(facts, route.policy, course.session) : undefined;
      if (outcome.kind === 'rejected' && !teardown) return deny(course, outcome.refusal);
      const identity = teardown ?? (outcome as { identity: Identity }).identity;
      course.identity = identity;
      course.teardown = teardown !== undefined;

      const refusal =
        seen('body', readBody(course, route)) ??
        seen(
          'scopes and tool',
          teardown ? undefined : authorize(identity, course.message, route.policy.scopes, route.toolRule),
        ) ??
        seen('session', refuseSession(course.session, identity)) ??
        refuseCapture(facts, route.policy, course.session);
      if (refusal) return deny(course, refusal);
      return whenReady(route.strategy.credential(identity, signal), (outgoing) =>
        settle(course, route, identity, outgoing),
      );
    });
  };

  /** Reads what this route needs of the body; where nothing depends on it, only a glance for the audit. */
  const readBody = (course: Course, route: Route): Refusal | undefined => {
    const { facts } = course;
    if (route.decidesOnBody) {
      const reading = readDecidedBody(facts, parts.maxBody, route.metaKey);
      if (reading.kind === 'message') course.message = reading.message;
      return reading.kind === 'refused' ? reading.refusal : undefined;
    }
    course.message = glanceAtBody(facts);
    return route.metaKey === undefined ? undefined : refuseFraming(facts, parts.maxBody);
  };

  const decide = (facts: RequestFacts, signal: AbortSignal): MaybePromise<Decision> => {
    const course = beginCourse(facts);
    const broken = (error: unknown): Decision => {
      if (signal.aborted) return deny(course, refuse('deadline_exceeded'));
      tools.log.error('a request could not be decided', {
        request_id: facts.requestId,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
      return deny(course, refuse('internal'));
    };
    try {
      const decision = judge(course, signal);
      return decision instanceof Promise ? decision.catch(broken) : decision;
    } catch (error) {
      return broken(error);
    }
  };
  return Object.assign(decide, {
    unreadable: (reason: Reason, detail: string) => deny(beginCourse(NOTHING_READ), refuse(reason, { detail })),
  });
}

const NO_POLICY: RouteFinding = {
  kind: 'unusable',
  reason: 'policy_missing',
  detail: 'the route has no mcp.identity metadata, or ext_authz does not forward it',
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
