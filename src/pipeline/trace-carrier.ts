import type { CallMetadata, TraceContext } from '../core/trace-context.ts';
import { traceOfCall } from '../core/trace-context.ts';
import type { Tracer } from '../core/tracer.ts';
import type { HeaderFields } from '../core/request-facts.ts';
import type { Carrier } from './carry-out.ts';

/** The phases of one request in ext_proc. */
export type Phases = Pick<
  Carrier,
  'requestHeaders' | 'requestBody' | 'bodyLate' | 'responseHeaders' | 'responseBody' | 'late' | 'end'
>;

/**
 * A carrier whose phases are spans, each as long as our own work in it; a request that asks nothing of us has none.
 * @param traceOfPlan the span of the decision, for when Envoy does not trace
 */
export function traceCarrier(
  carrier: Phases,
  tracer: Tracer,
  metadata: CallMetadata,
  traceOfPlan: (sealedPlan: string, requestId: string) => TraceContext | undefined,
): Phases {
  let from: TraceContext | undefined;
  let requestId = '';
  let planned = false;
  const span = <T>(phase: string, work: () => T): T =>
    // What is at hand stays at hand: `enter` hands on what `work` gives.
    planned ? (tracer.enter(`process ${phase}`, { from, requestId }, work as () => never) as T) : work();

  return {
    requestHeaders(headers: HeaderFields, endOfStream, sealedPlan) {
      planned = sealedPlan !== undefined;
      if (sealedPlan === undefined) return carrier.requestHeaders(headers, endOfStream, sealedPlan);
      requestId = headers.get('x-request-id') ?? '';
      from = traceOfCall(metadata) ?? traceOfPlan(sealedPlan, requestId);
      return span('request_headers', () => carrier.requestHeaders(headers, endOfStream, sealedPlan));
    },
    requestBody: (body) => span('request_body', () => carrier.requestBody(body)),
    responseHeaders: (headers, endOfStream) =>
      span('response_headers', () => carrier.responseHeaders(headers, endOfStream)),
    // An answer may come in any number of pieces; the last one settles it.
    responseBody: (body, end) =>
      end ? span('response_body', () => carrier.responseBody(body, end)) : carrier.responseBody(body, end),
    bodyLate: () => span('request_late', () => carrier.bodyLate()),
    late: () => span('response_late', () => carrier.late()),
    end: () => carrier.end(),
  };
}
