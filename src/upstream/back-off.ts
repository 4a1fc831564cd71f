import { LRUCache } from 'lru-cache';

/** After a failure nothing is tried for a second, then for two, four, … up to this. */
const MAX_MS = 60_000;
const MAX_ENTRIES = 10_000;

interface Entry {
  /** In a row. */
  readonly failures: number;
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** When a grant whose refresh failed may be tried again. Bounded: the longest untouched is forgotten first. */
export class BackOff {
  readonly #entries = new LRUCache<string, Entry>({ max: MAX_ENTRIES });

  /** Milliseconds to wait; 0 when it may be tried. A clock that was set back ends the wait. */
  remainingMs(key: string, nowMs: number): number {
    const entry = this.#entries.get(key);
    return entry && nowMs >= entry.sinceMs ? Math.max(0, entry.untilMs - nowMs) : 0;
  }

  /** @param retryAfterSeconds what the other side asked for, if it did */
  fail(key: string, nowMs: number, retryAfterSeconds = 0): void {
    const failures = (this.#entries.peek(key)?.failures ?? 0) + 1;
    const ownMs = Math.min(MAX_MS, 1_000 * 2 ** (failures - 1));
    const waitMs = Math.max(ownMs, retryAfterSeconds * 1_000);
    this.#entries.set(key, { failures, sinceMs: nowMs, untilMs: nowMs + waitMs });
  }

  clear(key: string): void {
    this.#entries.delete(key);
  }
}
