import { LRUCache } from 'lru-cache';

/** After a failure nothing is tried for a second, then for two, four, … up to this. */
const MAX_MS = 60_000;
const MAX_ENTRIES = 10_000;

interface Entry<Reason> {
  readonly reason: Reason;
  /** In a row. */
  readonly failures: number;
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** When something that failed may be tried again. Bounded: what was untouched for longest is forgotten first. */
export class BackOff<Reason extends string> {
  readonly #entries = new LRUCache<string, Entry<Reason>>({ max: MAX_ENTRIES });

  /** Undefined when it may be tried. A clock that was set back ends the wait. */
  waits(key: string, nowMs: number): { readonly seconds: number; readonly reason: Reason } | undefined {
    const entry = this.#entries.get(key);
    if (!entry || nowMs < entry.sinceMs || nowMs >= entry.untilMs) return undefined;
    return { seconds: Math.ceil((entry.untilMs - nowMs) / 1_000), reason: entry.reason };
  }

  /** @param retryAfterSeconds what the other side asked for, if it did */
  fail(key: string, nowMs: number, reason: Reason, retryAfterSeconds = 0): void {
    const failures = (this.#entries.peek(key)?.failures ?? 0) + 1;
    const ownMs = Math.min(MAX_MS, 1_000 * 2 ** (failures - 1));
    const untilMs = nowMs + Math.max(ownMs, retryAfterSeconds * 1_000);
    this.#entries.set(key, { reason, failures, sinceMs: nowMs, untilMs });
  }

  clear(key: string): void {
    this.#entries.delete(key);
  }
}
