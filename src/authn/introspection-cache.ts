import { LRUCache } from 'lru-cache';
import { countEvictions } from '../core/evictions.ts';
import type { User } from '../core/identity.ts';
import type { Metrics } from '../core/ports.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Outcome } from './method.ts';

interface Entry {
  readonly outcome: Outcome;
  /** Before this the clock has been set back, and nothing can be said about the entry's age. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** A refused token may become good again (RFC 7662 4 leaves that to the server), so it is asked about again soon. */
const REFUSED_MS = 5_000;
const MAX_REFUSED = 10_000;
const MAX_BYTES = 32 * 1024 ** 2;
/** What an entry holds beside the text of its claims. An estimate. */
const ENTRY_BYTES = 1024;

/**
 * Answers of an introspection endpoint, by a digest of the whole token. The least recently used go first; good and
 * refused ones are kept apart, so that made-up tokens push out none that are in use.
 */
export class IntrospectionCache {
  readonly #ttlMs: number;
  readonly #good: LRUCache<string, Entry>;
  readonly #refused = new LRUCache<string, Entry>({ max: MAX_REFUSED });

  /** @param ttlMs how long a good answer is reused at most */
  constructor(ttlMs: number, method: string, metrics: Metrics, maxBytes = MAX_BYTES) {
    this.#ttlMs = ttlMs;
    this.#good = new LRUCache<string, Entry>({ maxSize: maxBytes, dispose: countEvictions(metrics, 'introspection') });
    metrics.gauge(
      'mcp_identity_introspection_cache_bytes',
      'Memory of remembered introspection answers, estimated',
      () => this.#good.calculatedSize,
      { method },
    );
    metrics.gauge(
      'mcp_identity_introspection_cache_entries',
      'Introspection answers that are remembered, refusals included',
      () => this.#good.size + this.#refused.size,
      { method },
    );
  }

  get(key: string, nowMs: number): Outcome | undefined {
    const entry = this.#good.get(key) ?? this.#refused.get(key);
    return entry && nowMs >= entry.fromMs && nowMs < entry.untilMs ? entry.outcome : undefined;
  }

  /** @param askedMs when the endpoint was asked: that is how old its answer is */
  setUser(key: string, user: User, askedMs: number): Outcome {
    const outcome: Outcome = { kind: 'identified', user };
    const untilMs = Math.min(askedMs + this.#ttlMs, user.expiresAt === undefined ? Infinity : user.expiresAt * 1_000);
    const size = ENTRY_BYTES + 2 * ((user.token?.reveal().length ?? 0) + JSON.stringify(user.claims).length);
    this.#good.set(key, { outcome, fromMs: askedMs, untilMs }, { size });
    return outcome;
  }

  setRefusal(key: string, refusal: Refusal, askedMs: number): Outcome {
    const outcome: Outcome = { kind: 'rejected', refusal };
    this.#good.delete(key);
    this.#refused.set(key, { outcome, fromMs: askedMs, untilMs: askedMs + REFUSED_MS });
    return outcome;
  }
}
