import type { Decision } from '../core/decision.ts';
import type { Identity } from '../core/identity.ts';
import type { Audit, Tools } from '../core/ports.ts';
import { outcomeOf, type Refusal } from '../core/refusal.ts';
import { HeaderFields, type RequestFacts } from '../core/request-facts.ts';
import type { McpMessage } from '../mcp/message.ts';
import { answer } from './answer.ts';
import { auditRecord } from './audit-record.ts';
import { glanceAtBody } from './body.ts';
import { type CountDecision, countDecisions } from './count.ts';
import type { Route } from './route.ts';
import type { SessionReading } from './session-check.ts';

/** One request on its way to a decision: what came, and what has been learnt of it, for the answer and the audit. */
export interface Course {
  readonly facts: RequestFacts;
  readonly startedMs: number;
  route: Route | undefined;
  identity: Identity | undefined;
  message: McpMessage | undefined;
  session: SessionReading;
  /** A DELETE without a credential acts for the session's user. */
  teardown: boolean;
}

/** How the course of a request ends: counted and audited, once. */
export interface Endings {
  readonly finish: (course: Course, end: End) => void;
  /** The answer to the client, and the end of the course. */
  readonly deny: (course: Course, refusal: Refusal) => Decision;
}

interface End {
  /** Of a refusal, or `ok`. */
  readonly reason: string;
  readonly outcome: 'allow' | 'deny' | 'error';
  readonly status: number;
  readonly headersSet?: readonly string[];
  readonly detail?: string | undefined;
}

const DURATION_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

export function createEndings(audit: Audit, tools: Tools): Endings {
  const duration = tools.metrics.histogram(
    'mcp_identity_check_duration_seconds',
    'Time to decide about a request',
    DURATION_BUCKETS,
  );
  const countUnrouted = countDecisions(tools.metrics, '', '');

  const finish = (course: Course, { reason, outcome, status, headersSet = [], detail }: End): void => {
    const elapsedMs = performance.now() - course.startedMs;
    const count: CountDecision = course.route?.count ?? countUnrouted;
    count(outcome, reason);
    duration.observe(elapsedMs / 1000);
    const { facts } = course;
    audit.write(
      auditRecord(tools.clock.nowMs(), facts, { ...course, reason, outcome, status, headersSet, elapsedMs, detail }),
    );
  };

  const deny = (course: Course, refusal: Refusal): Decision => {
    course.message ??= glanceAtBody(course.facts);
    const { reason, detail } = refusal;
    const denial = answer(refusal, {
      challenges: course.route?.challenges(refusal) ?? [],
      rpcId: course.message?.shape === 'request' ? course.message.idJson : undefined,
    });
    finish(course, { reason, outcome: outcomeOf(reason), status: denial.status, detail });
    return denial;
  };

  return { finish, deny };
}

export function beginCourse(facts: RequestFacts): Course {
  return {
    facts,
    startedMs: performance.now(),
    route: undefined,
    identity: undefined,
    message: undefined,
    session: { kind: 'none' },
    teardown: false,
  };
}

/** Stands in for a request that could not be read. */
export const NOTHING_READ: RequestFacts = {
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
