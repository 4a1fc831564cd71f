import type { Deny } from '../core/decision.ts';
import { HeaderEdits } from '../core/header-edits.ts';
import type { MaybePromise } from '../core/maybe-promise.ts';
import type { Audit, Counter, Tools } from '../core/ports.ts';
import { outcomeOf, type Reason, type Refusal, refuse } from '../core/refusal.ts';
import { HeaderFields } from '../core/request-facts.ts';
import type { Sealer } from '../core/seal.ts';
import type { McpMessage } from '../mcp/message.ts';
import { setMeta } from '../mcp/meta.ts';
import type { Sessions } from '../mcp/session.ts';
import { readTarget, type SignableRequest, type SigningPlan, signRequest } from '../strategies/aws-signature.ts';
import { dated, signerFor } from '../propagation/assertion.ts';
import type { Signers } from '../propagation/signers.ts';
import { answer } from './answer.ts';
import { GLANCE_LIMIT, readMessageBody } from './body.ts';
import { ListAnswer, type ListMode, type ListPlan } from './list-filter.ts';
import { openPlan, type Plan, type SessionPlan } from './plan.ts';

/** What Envoy is told after one phase. */
export type Step =
  | {
      readonly kind: 'continue';
      readonly edits?: HeaderEdits;
      readonly body?: Buffer /** Send the whole request body too. */;
      readonly wantsBody?: boolean;
      /** Send the body of the answer too. */
      readonly wantsAnswer?: Exclude<ListMode, 'pass'>;
    }
  | { readonly kind: 'answer'; readonly deny: Deny };

/** What a backend may say of the bytes of its answer: wrong after an edit, and headers are sent before it. */
const OF_THE_BYTES = ['content-length', 'etag', 'content-digest', 'repr-digest', 'digest', 'content-md5'];

const CONTINUE: Extract<Step, { kind: 'continue' }> = { kind: 'continue' };

export interface CarrierParts {
  readonly sealer: Sealer;
  readonly sessions: Sessions | undefined;
  /** Told when a backend refused the credential it was given. */
  readonly invalidate: (what: unknown) => void;
  readonly signers: Signers;
  readonly audit: Audit;
  readonly tools: Tools;
}

/**
 * Carries out, for one request, what `Check` decided: edits what needs the body or the response. It decides nothing
 * of its own; a plan that cannot be opened ends the request.
 */
export class Carrier {
  readonly #parts: CarrierParts;
  #ended: (() => void) | undefined;
  #plan: Plan | undefined;
  #headers: HeaderFields = new HeaderFields([]);
  #rpcId: string | undefined;
  #elicitationUrl = false;
  #signable: SignableRequest | undefined;
  #list: ListAnswer | undefined;
  #status = 0;

  /** @param ended told once, when nothing of the request follows */
  constructor(parts: CarrierParts, ended?: () => void) {
    this.#parts = parts;
    this.#ended = ended;
  }

  /** The stream has ended. */
  end(): void {
    this.#ended?.();
    this.#ended = undefined;
  }

  /** @param sealedPlan from the dynamic metadata of ext_authz; undefined on routes that need nothing here */
  requestHeaders(headers: HeaderFields, endOfStream: boolean, sealedPlan: string | undefined): MaybePromise<Step> {
    if (sealedPlan === undefined) return CONTINUE;
    const plan = openPlan(this.#parts.sealer, sealedPlan, headers.get('x-request-id') ?? '');
    if (!plan) {
      this.#parts.tools.log.error(
        'a decision handed to ext_proc could not be opened; do all replicas share their session keys?',
        { request_id: headers.get('x-request-id') ?? null },
      );
      this.#parts.audit.write({
        time: new Date(this.#parts.tools.clock.nowMs()).toISOString(),
        event: 'response',
        outcome: 'error',
        reason: 'internal',
        detail: 'the decision handed to ext_proc could not be opened',
        status: 500,
        request_id: headers.get('x-request-id') ?? null,
      });
      return { kind: 'answer', deny: answer(refuse('internal'), { challenges: [], rpcId: undefined }) };
    }
    this.#plan = plan;
    this.#headers = headers;
    this.#rpcId = plan.rpcId;
    this.#elicitationUrl = plan.session?.opens?.elicitationUrl ?? false;
    // Check cannot see a body of HTTP/2 that announces no length.
    if (plan.bodiless && !endOfStream) return this.#refuse(plan, refuse('body_unexpected'));
    if (plan.sign) return this.#prepareSigning(plan, plan.sign, endOfStream);
    // For what a session only likes to know, no body is held up that is large, or may be.
    const length = Number(headers.get('content-length') ?? 'unknown');
    const glances = plan.session?.opens?.elicitationUrl === null && length <= Math.min(GLANCE_LIMIT, plan.maxBody);
    const wantsBody = !endOfStream && (plan.meta !== undefined || glances);
    return wantsBody ? { kind: 'continue', wantsBody } : CONTINUE;
  }

  requestBody(body: Buffer): MaybePromise<Step> {
    const plan = this.#plan;
    if (!plan) return CONTINUE;
    const step = this.#readBody(plan, body);
    if (!plan.sign || step.kind === 'answer') return step;
    return this.#sign(plan, plan.sign, step.body ?? body, step);
  }

  #readBody(plan: Plan, body: Buffer): Step {
    // An empty frame is no body; what needs one has been asked for it by Check.
    if (body.length === 0 && this.#headers.get(':method') !== 'POST') return CONTINUE;
    const reading = readMessageBody(body, this.#headers, plan.maxBody, plan.meta?.key);
    if (reading.kind === 'refused') return plan.meta ? this.#refuse(plan, reading.refusal) : CONTINUE;
    if (reading.kind === 'none') return CONTINUE;
    const { message } = reading;
    this.#rpcId ??= message.shape === 'request' ? message.idJson : undefined;
    this.#elicitationUrl ||= message.clientElicitationUrl;
    return plan.meta ? this.#signed(plan, body, edited(body, message, plan.meta)) : CONTINUE;
  }

  /** Proof of the user over the bytes that the backend gets. */
  #signed({ assertion, backend }: Plan, body: Buffer, step: Extract<Step, { kind: 'continue' }>): Step {
    if (!assertion) return step;
    const { signers, tools } = this.#parts;
    const edits = step.edits ?? new HeaderEdits();
    edits.set(
      assertion.header,
      signerFor(assertion.sign, backend, signers)(dated(assertion.claims, tools.clock, step.body ?? body)),
    );
    return { ...step, edits };
  }

  /** @param endOfStream the answer has no body */
  responseHeaders(headers: HeaderFields, endOfStream: boolean): Step {
    const plan = this.#plan;
    if (!plan) return CONTINUE; // a local reply of Envoy, or a route that needs nothing here
    const status = Number(headers.get(':status') ?? '0');
    if (status === 401 && plan.credential) {
      if (plan.credential.invalidate !== undefined) this.#parts.invalidate(plan.credential.invalidate);
      return this.#refuse(plan, refuse('backend_unauthorized'), status);
    }
    if (status === 401 && plan.onUnauthorized) {
      this.#record(plan, 'deny', 'account_missing', plan.onUnauthorized.status, status);
      return { kind: 'answer', deny: plan.onUnauthorized };
    }
    const edits = new HeaderEdits();
    for (const name of plan.hide) if (headers.has(name)) edits.remove(name);
    const raw = headers.get('mcp-session-id');
    if (plan.session && raw !== undefined) {
      const id = this.#sealSession(plan.session, raw, plan.backend);
      if (id === 'too_large') return this.#refuse(plan, refuse('session_too_large'), status);
      if (id === undefined) edits.remove('mcp-session-id');
      else edits.set('mcp-session-id', id);
    }
    const step = plan.list ? this.#prepareList(plan, plan.list, headers, endOfStream) : CONTINUE;
    if (step.kind === 'answer') return step;
    if (step.wantsAnswer) for (const name of OF_THE_BYTES) if (headers.has(name)) edits.remove(name);
    if (step.wantsAnswer !== 'buffered')
      this.#record(plan, status < 500 ? 'allow' : 'error', status < 500 ? 'ok' : 'backend_error', status, status);
    return { ...step, edits };
  }

  #prepareList(plan: Plan, list: ListPlan, headers: HeaderFields, endOfStream: boolean): Step {
    this.#status = Number(headers.get(':status') ?? '0');
    const answered = new ListAnswer(list, plan.maxBody);
    const mode = answered.headers(headers, !endOfStream);
    if (typeof mode === 'object') return this.#refuse(plan, mode, this.#status);
    if (mode === 'pass') return CONTINUE;
    this.#list = answered;
    return { kind: 'continue', wantsAnswer: mode };
  }

  /** A list as the caller may see it. @param end nothing of the answer follows */
  responseBody(body: Buffer, end: boolean): Step {
    const plan = this.#plan;
    if (!plan?.list || !this.#list) return CONTINUE;
    const part = this.#list.body(body, end);
    if (part.kind === 'refused') return this.#refuse(plan, part.refusal, this.#status);
    if (plan.list.of === 'answer') this.#record(plan, 'allow', 'ok', this.#status, this.#status);
    return part.body === undefined ? CONTINUE : { kind: 'continue', body: part.body };
  }

  /** The body that was asked for has not come in time: the client is slow, or Envoy's buffer was full too early. */
  bodyLate(): Step {
    return this.#plan ? this.#refuse(this.#plan, refuse('body_late')) : CONTINUE;
  }

  /** The answer that was asked for has not ended in time. */
  late(): Step {
    return this.#plan ? this.#refuse(this.#plan, refuse('list_late'), this.#status) : CONTINUE;
  }

  /** @throws when ext_authz could not set the host: the request would go nowhere we know of */
  #prepareSigning(plan: Plan, sign: SigningPlan, endOfStream: boolean): MaybePromise<Step> {
    const headers = this.#headers;
    if (headers.get(':authority') !== sign.host) throw new Error('the host is not the one that ext_authz has set');
    const target = readTarget(headers.get(':path') ?? '');
    if (!target) return this.#refuse(plan, refuse('path_not_signable'));
    if (Number(headers.get('content-length') ?? '0') > plan.maxBody)
      return this.#refuse(plan, refuse('body_too_large'));
    const [contentType, second] = headers.all('content-type');
    this.#signable = {
      method: headers.get(':method') ?? '',
      target,
      contentType: second === undefined ? contentType : undefined,
    };
    return endOfStream ? this.#sign(plan, sign, Buffer.alloc(0), CONTINUE) : { kind: 'continue', wantsBody: true };
  }

  /** The last edit of a request; nothing that is signed may change after it. */
  async #sign(plan: Plan, sign: SigningPlan, body: Buffer, step: Extract<Step, { kind: 'continue' }>): Promise<Step> {
    if (body.length > plan.maxBody) return this.#refuse(plan, refuse('body_too_large'));
    const signable = this.#signable as SignableRequest;
    const edits = step.edits ?? new HeaderEdits();
    const { wire } = signable.target;
    if (wire !== this.#headers.get(':path')) edits.set(':path', wire);
    const headers = await signRequest(sign, signable, body, this.#parts.tools.clock.nowMs());
    for (const [name, value] of headers) edits.set(name, value);
    return { ...step, edits };
  }

  /**
   * The same session keeps the id the client knows; another one is a new session of the same owner.
   * @returns undefined where the request may not open one
   */
  #sealSession({ presented, opens }: SessionPlan, backendId: string, backend: string): string | undefined {
    if (presented?.backendId === backendId) return presented.id;
    const { sessions, tools } = this.#parts;
    if (!opens || !sessions) return undefined;
    try {
      return sessions.seal(
        { ...opens, backendId, createdMs: tools.clock.nowMs(), elicitationUrl: this.#elicitationUrl },
        backend,
      );
    } catch (error) {
      if (error instanceof RangeError) return 'too_large';
      throw error;
    }
  }

  #refuse(plan: Plan, refusal: Refusal, backendStatus?: number): Step {
    const deny = answer(refusal, { challenges: [], rpcId: this.#rpcId });
    this.#record(plan, outcomeOf(refusal.reason), refusal.reason, deny.status, backendStatus, refusal.detail);
    return { kind: 'answer', deny };
  }

  #record(
    plan: Plan,
    outcome: 'allow' | 'deny' | 'error',
    reason: Reason | 'ok' | 'backend_error',
    status: number,
    backendStatus?: number,
    detail?: string,
  ): void {
    const { audit, tools } = this.#parts;
    countResponse(tools, plan, outcome, reason).inc();
    audit.write({
      ...plan.audit,
      time: new Date(tools.clock.nowMs()).toISOString(),
      event: 'response',
      outcome,
      reason,
      ...(detail === undefined ? {} : { detail }),
      status,
      backend_status: backendStatus ?? null,
    });
  }
}

function countResponse({ metrics }: Tools, { backend, strategy }: Plan, outcome: string, reason: string): Counter {
  return metrics.counter('mcp_identity_responses_total', 'Outcomes after the decision, seen by ext_proc', {
    backend,
    strategy,
    outcome,
    reason,
  });
}

/** Identity goes into requests only; elsewhere a client's copy is taken away and nothing else is touched. */
function edited(
  body: Buffer,
  message: McpMessage,
  meta: NonNullable<Plan['meta']>,
): Extract<Step, { kind: 'continue' }> {
  if (message.shape === 'response') return CONTINUE;
  const value = message.shape === 'request' && meta.json !== null ? Buffer.from(meta.json) : null;
  const changed = setMeta(body, message, meta.key, value);
  if (changed === body) return CONTINUE;
  const edits = new HeaderEdits();
  edits.set('content-length', String(changed.length));
  return { kind: 'continue', edits, body: changed };
}
