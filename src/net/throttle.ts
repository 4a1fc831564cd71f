import { LRUCache } from 'lru-cache';

export interface ThrottleOptions {
  /** How many may be taken at once. */
  readonly burst: number;
  /** One comes back after this time. */
  readonly intervalMs: number;
  /** Keys that are remembered; the least recently used are forgotten, and start anew. */
  readonly maxKeys: number;
}

/** Counts tries per key: a bucket of tokens that fills by itself. */
export class Throttle {
  readonly #intervalMs: number;
  readonly #emptyMs: number;
  /** When the bucket of a key will be full again; milliseconds since the epoch. */
  readonly #fullAt: LRUCache<string, number>;

  constructor({ burst, intervalMs, maxKeys }: ThrottleOptions) {
    this.#intervalMs = intervalMs;
    this.#emptyMs = burst * intervalMs;
    this.#fullAt = new LRUCache({ max: maxKeys });
  }

  /** Takes a token. @returns 0, or in how many milliseconds there will be one to take */
  take(key: string, nowMs: number): number {
    const missingMs = Math.max(0, (this.#fullAt.get(key) ?? 0) - nowMs);
    // A bucket cannot lack more than it holds: the clock has been set back since.
    if (missingMs > this.#emptyMs) this.#fullAt.set(key, nowMs + this.#emptyMs);
    const waitMs = Math.min(missingMs, this.#emptyMs) + this.#intervalMs - this.#emptyMs;
    if (waitMs > 0) return waitMs;
    this.#fullAt.set(key, nowMs + missingMs + this.#intervalMs);
    return 0;
  }

  /** Puts back a token that was taken. */
  giveBack(key: string): void {
    const fullAt = this.#fullAt.get(key);
    if (fullAt !== undefined) this.#fullAt.set(key, fullAt - this.#intervalMs);
  }
}
