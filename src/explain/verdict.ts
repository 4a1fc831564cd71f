import type { Allow, Deny } from '../core/decision.ts';
import type { AuditRecord } from '../core/ports.ts';
import { type Reason, WIRE } from '../core/refusal.ts';
import type { RoutePolicy } from '../policy/route-policy.ts';
import type { EnvoyWay } from './envoy-way.ts';
import type { Assumption, Notebook, Sent, Step } from './finding.ts';
import { type ShownHeader, shownHeaders } from './hide.ts';
import { REFUSALS } from './refusal-help.ts';

export interface Explanation {
  /** `unknown`: it depends on something that was not done or cannot be judged; `because` says on what. */
  readonly verdict: 'allow' | 'deny' | 'unknown';
  readonly because: string;
  /** ISO 8601; the moment that the checks are made for. */
  readonly at: string;
  readonly request: { readonly method: string; readonly url: string };
  readonly steps: readonly Step[];
  readonly assumptions: readonly Assumption[];
  /** What the client would hear. */
  readonly answer?: Answer;
  /** What the backend would get, beside what the client sent and is not removed. */
  readonly forwarded?: Forwarded;
  /** The lines that the service would write. */
  readonly audit: readonly AuditRecord[];
}

export interface Answer {
  readonly status: number;
  /** Undefined for answers that Envoy gives by itself. */
  readonly reason?: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly cause?: string;
  readonly mend?: string;
}

export interface Forwarded {
  readonly set: readonly ShownHeader[];
  readonly removed: readonly string[];
  /** Headers that ext_proc writes after that. */
  readonly byExtProc: readonly string[];
}

interface Asked {
  readonly sent: Sent;
  readonly atMs: number;
}

/** The end of a request about which the service is not asked. */
export function byEnvoy(asked: Asked, notebook: Notebook, way: Exclude<EnvoyWay, { kind: 'asks' }>): Explanation {
  const common = { ...about(asked, notebook), audit: [] };
  if (way.kind === 'unknown') return { ...common, verdict: 'unknown', because: way.why };
  if (way.kind === 'answers')
    return {
      ...common,
      verdict: 'deny',
      because: `Envoy answers by itself: ${way.why}`,
      answer: { status: way.status, headers: [], body: '' },
    };
  return {
    ...common,
    verdict: 'allow',
    because: `this service is not asked: ${way.why}`,
    forwarded: { set: [], removed: [], byExtProc: [] },
  };
}

/** Reasons that are about the way from here, not about the request: a service that runs may know more. */
const FROM_HERE: ReadonlySet<string> = new Set<Reason>([
  'issuer_unavailable',
  'upstream_unavailable',
  'deadline_exceeded',
  'overloaded',
]);

/** @param audited what the service would have written; the last line says why */
export function conclude(
  asked: Asked,
  notebook: Notebook,
  end: Deny | (Allow & { readonly byExtProc: readonly string[] }),
  policy: RoutePolicy | undefined,
  audited: readonly AuditRecord[],
): Explanation {
  const common = { ...about(asked, notebook), audit: audited };
  const { assumptions } = notebook;
  const conditions = assumptions.map(({ text }) => text).join('; ');
  if (end.kind === 'allow') {
    const forwarded = {
      set: policy ? shownHeaders(end.edits, policy) : [],
      removed: [...end.edits.removed()],
      byExtProc: end.byExtProc,
    };
    return assumptions.length === 0
      ? { ...common, verdict: 'allow', because: 'every check passed', forwarded }
      : {
          ...common,
          verdict: 'unknown',
          because: `nothing stands against it, but not all was checked: ${conditions}`,
          forwarded,
        };
  }
  const { reason, detail } = audited.at(-1) as AuditRecord & { readonly detail?: string };
  const help = Object.hasOwn(REFUSALS, reason) ? REFUSALS[reason as Reason] : undefined;
  const answer: Answer = {
    status: end.status,
    reason,
    headers: end.headers.map(([name, value]) => [name, name === 'dpop-nonce' ? '[hidden]' : value]),
    body: end.body,
    ...(help && { cause: help.cause, mend: help.mend }),
  };
  const said = Object.hasOwn(WIRE, reason) ? WIRE[reason as Reason].message : reason;
  const because = detail === undefined ? said : `${said} (${detail})`;
  if (FROM_HERE.has(reason))
    return { ...common, verdict: 'unknown', because: `${because}; a service that runs may know more`, answer };
  const certain = assumptions.every(({ refusedOtherwise }) => refusedOtherwise);
  return certain
    ? { ...common, verdict: 'deny', because, answer }
    : { ...common, verdict: 'unknown', because: `${because}; but not all was checked: ${conditions}`, answer };
}

function about(
  { sent, atMs }: Asked,
  notebook: Notebook,
): Pick<Explanation, 'at' | 'request' | 'steps' | 'assumptions'> {
  const { method, scheme, host, path } = sent;
  const [plain = ''] = path.split('?');
  // Some clients put tokens into the query.
  const url = `${scheme}://${host}${plain}${plain === path ? '' : '?…'}`;
  return {
    at: new Date(atMs).toISOString(),
    request: { method, url },
    steps: notebook.steps,
    assumptions: notebook.assumptions,
  };
}
