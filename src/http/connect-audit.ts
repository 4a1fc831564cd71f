import type { IncomingMessage } from 'node:http';
import type { Audit, Counter, Tools } from '../core/ports.ts';
import type { Told } from './connect-visit.ts';

/** W3C Trace Context 3.2. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;
const MAX_REQUEST_ID_LENGTH = 256;

/** Writes what was done on the connect pages into the audit (contract §7), and counts it. */
export function createConnectAudit(audit: Audit, { clock, metrics }: Tools) {
  const counters = new Map<string, Counter>();
  return (request: IncomingMessage, status: number, told: Told): void => {
    const { event, outcome, reason, user, provider, detail } = told;
    const { 'x-request-id': id, traceparent } = request.headers;
    audit.write({
      time: new Date(clock.nowMs()).toISOString(),
      event,
      outcome,
      reason,
      ...(detail === undefined ? {} : { detail }),
      status,
      request_id: typeof id === 'string' ? id.slice(0, MAX_REQUEST_ID_LENGTH) : null,
      trace_id: (typeof traceparent === 'string' && TRACEPARENT.exec(traceparent)?.[1]) || null,
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
