import type { Counter, Metrics } from '../core/ports.ts';

export type CountDecision = (outcome: string, reason: string) => void;

/** Decisions by backend, strategy, outcome and reason; children are looked up once per combination. */
export function countDecisions(metrics: Metrics, backend: string, strategy: string): CountDecision {
  const counters = new Map<string, Counter>();
  return (outcome, reason) => {
    let counter = counters.get(reason);
    if (!counter) {
      counter = metrics.counter('mcp_identity_decisions_total', 'Decisions about requests', {
        backend,
        strategy,
        outcome,
        reason,
      });
      counters.set(reason, counter);
    }
    counter.inc();
  };
}
