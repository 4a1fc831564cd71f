import { LRUCache } from 'lru-cache';
import { countEvictions } from '../core/evictions.ts';
import type { MaybePromise } from '../core/maybe-promise.ts';
import type { Tools } from '../core/ports.ts';
import type { Refusal } from '../core/refusal.ts';
import { SingleFlight } from '../core/single-flight.ts';

export type Obtained<T> =
  | {
      readonly kind: 'obtained';
      readonly value: T;
      /** Milliseconds since the epoch from which on it is not handed out any more. */
      readonly untilMs: number;
      /** Length of the texts in it. */
      readonly length: number;
    }
  | {
      readonly kind: 'refused';
      readonly refusal: Refusal;
      /** The same question would get the same answer: it is not asked again for `REFUSED_MS`. Never for outages. */
      readonly definite: boolean;
    };

interface Entry<T> {
  readonly obtained: Obtained<T>;
  /** Before this the clock has been set back, and nothing can be said about the entry's age. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** When something of a key was last dropped, and for how long nothing more of it is. */
interface Pause {
  readonly fromMs: number;
  readonly forMs: number;
}

const REFUSED_MS = 5_000;
/** A backend that refuses whatever it is given must not turn every call into a question to the issuer. */
const FIRST_PAUSE_MS = 5_000;
const MAX_PAUSE_MS = 60_000;
/** After this long without a drop, the next pause is short again. */
const CALM_MS = 300_000;
const MAX_PAUSES = 10_000;
const MAX_REFUSED = 10_000;
const MAX_BYTES = 32 * 1024 ** 2;
/** What an entry holds beside its texts; an estimate. */
const ENTRY_BYTES = 1_024;

/**
 * What was issued for users, by a key over everything that shaped it. Bounded by bytes, the least recently used go first;
 * refusals are kept apart, so that they push out nothing that is in use. Who asks for the same thing at the same time
 * shares one attempt.
 */
export class CredentialCache<T> {
  readonly #clock: Tools['clock'];
  readonly #limitMs: number;
  readonly #issued: LRUCache<string, Entry<T>>;
  readonly #refused = new LRUCache<string, Entry<T>>({ max: MAX_REFUSED });
  readonly #pauses = new LRUCache<string, Pause>({ max: MAX_PAUSES });
  readonly #flight = new SingleFlight<Obtained<T>>();
  readonly #hit: () => void;
  readonly #miss: () => void;

  /**
   * @param kind `token_exchange` or `aws_sts`; a label of the metrics
   * @param limitMs how long one attempt may take, whoever waits for it
   */
  constructor(kind: string, limitMs: number, { metrics, clock }: Tools, maxBytes = MAX_BYTES) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#issued = new LRUCache<string, Entry<T>>({ maxSize: maxBytes, dispose: countEvictions(metrics, kind) });
    const counter = (name: string, help: string) => metrics.counter(name, help, { kind });
    const hits = counter('mcp_identity_credential_cache_hits_total', 'Credentials that were at hand');
    const misses = counter('mcp_identity_credential_cache_misses_total', 'Credentials that had to be asked for');
    this.#hit = () => hits.inc();
    this.#miss = () => misses.inc();
    metrics.gauge(
      'mcp_identity_credential_cache_bytes',
      'Memory of credentials that are kept, estimated',
      () => this.#issued.calculatedSize,
      { kind },
    );
    metrics.gauge('mcp_identity_credential_cache_entries', 'Credentials that are kept', () => this.#issued.size, {
      kind,
    });
  }

  /**
   * @param key names what is issued
   * @param attempt names the question: the key, or the key with what this caller proves itself by
   * @throws what `ask` throws, or the abort reason of `signal`
   */
  obtain(
    key: string,
    attempt: string,
    signal: AbortSignal,
    ask: (limit: AbortSignal) => Promise<Obtained<T>>,
  ): MaybePromise<Obtained<T>> {
    const nowMs = this.#clock.nowMs();
    const known = this.#issued.get(key);
    const entry = known && isGood(known, nowMs) ? known : this.#refused.get(attempt);
    if (entry && isGood(entry, nowMs)) {
      this.#hit();
      return entry.obtained;
    }
    this.#miss();
    const job = async (limit: AbortSignal): Promise<Obtained<T>> => {
      const obtained = await ask(limit);
      this.#keep(key, attempt, obtained);
      return obtained;
    };
    return this.#flight.run(attempt, this.#limitMs, job, signal);
  }

  /**
   * Forgets what is kept under `key` if it is the one that is meant; a newer one stays. The first goes at once; who is
   * refused again goes on with what is kept, for a pause that doubles from 5 s to a minute.
   */
  drop(key: string, isMeant: (value: T) => boolean): void {
    const obtained = this.#issued.peek(key)?.obtained;
    if (obtained?.kind !== 'obtained' || !isMeant(obtained.value)) return;
    const fromMs = this.#clock.nowMs();
    const last = this.#pauses.get(key);
    // Below zero the clock was set back: nothing is known about the pause.
    const sinceMs = last ? fromMs - last.fromMs : -1;
    if (last && sinceMs >= 0 && sinceMs < last.forMs) return;
    const isCalm = !last || sinceMs < 0 || sinceMs >= CALM_MS;
    this.#pauses.set(key, { fromMs, forMs: isCalm ? FIRST_PAUSE_MS : Math.min(MAX_PAUSE_MS, last.forMs * 2) });
    this.#issued.delete(key);
  }

  #keep(key: string, attempt: string, obtained: Obtained<T>): void {
    const fromMs = this.#clock.nowMs();
    if (obtained.kind === 'obtained') {
      const size = ENTRY_BYTES + key.length + obtained.length;
      if (obtained.untilMs > fromMs) this.#issued.set(key, { obtained, fromMs, untilMs: obtained.untilMs }, { size });
    } else if (obtained.definite) {
      this.#refused.set(attempt, { obtained, fromMs, untilMs: fromMs + REFUSED_MS });
    }
  }
}

function isGood(entry: Entry<unknown>, nowMs: number): boolean {
  return nowMs >= entry.fromMs && nowMs < entry.untilMs;
}
