import type { IncomingMessage } from 'node:http';
import type { Audit, Counter, Tools } from '../core/ports.ts';
import { readTraceparent, type TraceContext } from '../core/trace-context.ts';
import type { Told } from './connect-visit.ts';

const MAX_REQUEST_ID_LENGTH = 256;

/** Writes what was done on the connect pages into the audit (contract §7), and counts it. */
export function createConnectAudit(audit: Audit, { clock, metrics, tracer }: Tools) {
  const counters = new Map<string, Counter>();
  return (request: IncomingMessage, status: number, told: Told): void => {
    const { event, outcome, reason, user, provider, detail } = told;
    const { 'x-request-id': id } = request.headers;
    audit.write({
      time: new Date(clock.nowMs()).toISOString(),
      event,
      outcome,
      reason,
      ...(detail === undefined ? {} : { detail }),
      status,
      request_id: typeof id === 'string' ? id.slice(0, MAX_REQUEST_ID_LENGTH) : null,
      trace_id: tracer?.here?.traceId ?? traceOfHttp(request)?.traceId ?? null,
      issuer: user?.issuer ?? null,
      subject: user?.subject ?? null,
      provider: provider ?? null,
    });
    // Closed sets all three, so their number is bounded.
    const labels = { event, outcome, reason };
    const name = Object.values(labels).join(' ');
    let counter = counters.get(name);
    if (!counter) {
      counter = metrics.counter('mcp_identity_connect_steps_total', 'What was done on the connect pages', labels);
      counters.set(name, counter);
    }
    counter.inc();
  };
}

/** Envoy puts its own trace into what it forwards. Node joins copies with a comma, which no good one holds. */
export function traceOfHttp({ headers: { traceparent, tracestate } }: IncomingMessage): TraceContext | undefined {
  const text = (value: string | string[] | undefined) => (typeof value === 'string' ? value : undefined);
  return readTraceparent(text(traceparent), text(tracestate));
}
