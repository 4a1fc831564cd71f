import { LRUCache } from 'lru-cache';
import type { Grant } from './vault/vault.ts';

/** After a refresh a refusal changes nothing for so long; each time that does not help, for twice as long, up to the most. */
const FIRST_MS = 3_000;
const MOST_MS = 60_000;
const MAX_ENTRIES = 10_000;

/**
 * When a refused token may be refreshed because of it. One backend that refuses everything must not keep all others
 * waiting, nor the provider busy. Bounded: what was untouched for longest is forgotten first.
 */
export class RefusalRest {
  readonly #restMs = new LRUCache<string, number>({ max: MAX_ENTRIES });

  /** True when the token of `grant`, which was refused now, has rested; the next one then rests longer. */
  over(key: string, { refreshedAtMs }: Pick<Grant, 'refreshedAtMs'>, nowMs: number): boolean {
    const ageMs = refreshedAtMs === undefined ? Infinity : nowMs - refreshedAtMs;
    const restMs = this.#restMs.get(key) ?? FIRST_MS;
    if (ageMs >= 0 && ageMs < restMs) return false;
    // A token that was good for a while has been revoked; one that was refused soon after it came will not be the last.
    if (ageMs >= 0 && ageMs < 2 * MOST_MS) this.#restMs.set(key, Math.min(MOST_MS, restMs * 2));
    else this.#restMs.delete(key);
    return true;
  }

  clear(key: string): void {
    this.#restMs.delete(key);
  }
}
