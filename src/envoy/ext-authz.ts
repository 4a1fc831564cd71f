import type { Decision } from '../core/decision.ts';
import type { MaybePromise } from '../core/maybe-promise.ts';
import type { Log } from '../core/ports.ts';
import type { CallMetadata } from '../core/trace-context.ts';
import type { Tracer } from '../core/tracer.ts';
import type { RequestFacts } from '../core/request-facts.ts';
import type { Decide } from '../pipeline/decide.ts';
import { decodeCheckRequest } from './codec/check-request.ts';
import { encodeDecision } from './edits.ts';
import { factsOf } from './request.ts';

/** One `Check` call: request bytes in, response bytes out. Envoy's own trace is named in the metadata of the call. */
export type Check = (request: Buffer, signal: AbortSignal, metadata?: CallMetadata) => MaybePromise<Buffer>;

/**
 * `envoy.service.auth.v3.Authorization/Check` over raw bytes. Whatever cannot be read is a denial.
 * @param namespace metadata namespace of the route policies
 */
export function createCheck(decide: Decide, namespace: string, log: Log, tracer?: Tracer): Check {
  const refused = (reason: 'request_malformed' | 'headers_not_raw' | 'internal', detail: string): Buffer => {
    log.error('a Check call could not be answered', { reason, detail });
    return encodeDecision(decide.unreadable(reason, detail));
  };
  const encoded = (decision: Decision): Buffer => {
    try {
      return encodeDecision(decision);
    } catch (error) {
      return refused('internal', error instanceof Error ? error.message : 'unknown'); // a header that no message can carry
    }
  };
  const judge = (facts: RequestFacts, signal: AbortSignal): MaybePromise<Decision> =>
    tracer
      ? tracer.enter('check', { from: facts.trace, requestId: facts.requestId }, (here) =>
          decide({ ...facts, trace: here }, signal),
        )
      : decide(facts, signal);
  return (request, signal, metadata) => {
    let facts;
    try {
      facts = factsOf(decodeCheckRequest(request, namespace), metadata);
    } catch (error) {
      return refused('request_malformed', error instanceof Error ? error.message : 'unknown');
    }
    if (!facts) return refused('headers_not_raw', 'set encode_raw_headers: true on the ext_authz filter');
    const decision = judge(facts, signal);
    return decision instanceof Promise ? decision.then(encoded) : encoded(decision);
  };
}
