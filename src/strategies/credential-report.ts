import type { Counter, Log, Tools } from '../core/ports.ts';

/** While a service is down, every call is a failure: it is logged this often at most, in milliseconds. */
const WARN_EVERY_MS = 10_000;

/** Counts what came of asking one service for credentials, and tells operators about what is theirs to mend. */
export class CredentialReport {
  readonly #counters = new Map<string, Counter>();
  readonly #count: (outcome: string) => Counter;
  readonly #log: Log;
  readonly #clock: Tools['clock'];
  readonly #name: string;
  #warnedMs = Number.NEGATIVE_INFINITY;

  /**
   * @param metric name of the counter; its label `outcome` is a word from a closed set
   * @param name of the service in the configuration, or its region
   */
  constructor(metric: string, help: string, name: string, { metrics, log, clock }: Tools) {
    this.#count = (outcome) => metrics.counter(metric, help, { name, outcome });
    this.#log = log;
    this.#clock = clock;
    this.#name = name;
  }

  ended(outcome: string): void {
    let counter = this.#counters.get(outcome);
    if (!counter) {
      counter = this.#count(outcome);
      this.#counters.set(outcome, counter);
    }
    counter.inc();
  }

  /** @param fault one word or two of ours, or a registered error code */
  trouble(message: string, fault: string): void {
    const nowMs = this.#clock.nowMs();
    if (Math.abs(nowMs - this.#warnedMs) < WARN_EVERY_MS) return;
    this.#warnedMs = nowMs;
    this.#log.warn(message, { name: this.#name, fault });
  }
}
