import { LRUCache } from 'lru-cache';
import type { Clock, Log } from '../core/ports.ts';
import type { Unavailable } from './upstream-answer.ts';
import { VaultError } from './vault/vault-error.ts';

/** How often one record that does not open is told, in milliseconds. */
const TELL_EVERY_MS = 60_000;
const MAX_TOLD = 1_000;

/** What failures of the vault come to: an answer, a line in the log, and the time since when it was in trouble. */
export class VaultTrouble {
  readonly #log: Log;
  readonly #clock: Clock;
  /** When each record was told. */
  readonly #told = new LRUCache<string, number>({ max: MAX_TOLD });
  #failedMs = Number.NEGATIVE_INFINITY;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** `performance.now()` when the vault did not answer last. */
  get failedMs(): number {
    return this.#failedMs;
  }

  /** The vault did not answer. */
  noted(): void {
    this.#failedMs = performance.now();
  }

  /** @throws what is no VaultError */
  answer(error: unknown): Unavailable {
    if (!(error instanceof VaultError)) throw error;
    if (error.code === 'unavailable') {
      this.noted();
      return { kind: 'unavailable', reason: 'vault_unavailable', retryAfterSeconds: 1 };
    }
    const [record, nowMs] = [error.record ?? '', this.#clock.nowMs()];
    const sinceMs = nowMs - (this.#told.get(record) ?? Number.NEGATIVE_INFINITY);
    if (sinceMs < 0 || sinceMs >= TELL_EVERY_MS) {
      this.#told.set(record, nowMs);
      this.#log.error('a grant cannot be opened', { error: error.message });
    }
    return { kind: 'unavailable', reason: 'grant_unreadable', retryAfterSeconds: 60 };
  }
}
