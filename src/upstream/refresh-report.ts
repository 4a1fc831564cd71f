import type { Audit, Counter, Histogram, Tools } from '../core/ports.ts';
import type { RefreshEnd } from './refresh-grant.ts';
import type { GrantKey } from './vault/vault.ts';

/** Seconds; from a turn at once to one that never came. */
const WAIT_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const DURATION_BUCKETS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** As metrics and audit say it. */
const GONE = { never: 'disconnected', revoked: 'revoked' } as const;

/** Outcomes of which the first one may be worth an alert: they are there with 0 from the beginning. */
const FORESEEN = ['refreshed', 'revoked', 'client_rejected', 'rejected', 'timeout', 'network', 'vault_unavailable'];

/** Counts, audits and logs the refreshes of one provider. */
export class RefreshReport {
  readonly #provider: string;
  readonly #tools: Tools;
  readonly #audit: Audit;
  readonly #counters = new Map<string, Counter>();
  readonly #duration: Histogram;
  readonly #leaseWait: Histogram;

  constructor(provider: string, tools: Tools, audit: Audit) {
    this.#provider = provider;
    this.#tools = tools;
    this.#audit = audit;
    const histogram = (name: string, help: string, buckets: readonly number[]) =>
      tools.metrics.histogram(name, help, buckets, { provider });
    this.#duration = histogram('mcp_identity_upstream_refresh_seconds', 'Time of refreshes', DURATION_BUCKETS);
    for (const outcome of FORESEEN) this.#count(outcome);
    this.#leaseWait = histogram(
      'mcp_identity_upstream_lease_wait_seconds',
      'Waits for a turn to refresh',
      WAIT_BUCKETS,
    );
  }

  /** @param ms how long the process waited for its turn */
  waited(ms: number): void {
    this.#leaseWait.observe(ms / 1_000);
  }

  ended(key: GrantKey, end: RefreshEnd, elapsedMs: number): void {
    const reason = end.kind === 'failed' ? end.reason : end.kind === 'gone' ? GONE[end.why] : end.kind;
    this.#count(reason).inc();
    if (end.kind === 'superseded' || (end.kind === 'gone' && end.why === 'never')) return; // nothing was done here
    this.#duration.observe(elapsedMs / 1_000);
    const { issuer, subject, provider } = key;
    this.#audit.write({
      time: new Date(this.#tools.clock.nowMs()).toISOString(),
      event: 'refresh',
      outcome: end.kind === 'refreshed' ? 'allow' : end.kind === 'gone' ? 'deny' : 'error',
      reason: end.kind === 'refreshed' ? 'ok' : reason,
      issuer,
      subject,
      provider,
      duration_ms: Math.round(elapsedMs * 1_000) / 1_000,
    });
    if (end.kind !== 'failed') return;
    const fields = { provider, reason, ...(end.error !== undefined && { error: end.error }) };
    if (end.reason === 'client_rejected')
      this.#tools.log.error(
        'the provider does not accept this client; check clientId, clientSecret and clientAuth',
        fields,
      );
    else this.#tools.log.warn('a token could not be refreshed; the grant is kept', fields);
  }

  #count(outcome: string): Counter {
    let counter = this.#counters.get(outcome);
    if (!counter) {
      const labels = { provider: this.#provider, outcome };
      counter = this.#tools.metrics.counter(
        'mcp_identity_upstream_refreshes_total',
        'Refreshes of upstream tokens',
        labels,
      );
      this.#counters.set(outcome, counter);
    }
    return counter;
  }
}
