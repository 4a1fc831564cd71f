import { LRUCache } from 'lru-cache';
import type { Tools } from '../core/ports.ts';
import { abandonable, SingleFlight } from '../core/single-flight.ts';
import { BackOff } from './back-off.ts';
import { type OpenedGrant, OpenedGrants } from './opened-grants.ts';
import type { Provider } from './provider.ts';
import { REFRESH_LIMITS, type RefreshEnd, type RefreshFault, type RefreshLimits } from './refresh-grant.ts';
import { RefusalRest } from './refusal-rest.ts';
import { VaultTrouble } from './vault-trouble.ts';
import type { Lease } from './vault/vault.ts';

export interface Refreshed {
  readonly end: RefreshEnd;
  /** What is in the vault now, where it is known. */
  readonly entry?: OpenedGrant;
}

const SWEEP_EVERY_MS = 30_000;
const MAX_KEPT_LEASES = 10_000;
/** How long closing waits beyond `holdMs` for refreshes that a provider has seen, and then for their last attempt to store. */
const STORE_LIMIT_MS = 3_000;
const LAST_ATTEMPT_MS = 3_000;

/**
 * What a process knows of grants and of refreshes under way. It outlives changes of the configuration: a refresh that
 * began before one ends after it, and nothing that it got is lost.
 */
export class RefreshMemory {
  readonly opened: OpenedGrants;
  readonly backOff = new BackOff<RefreshFault>();
  readonly rests = new RefusalRest();
  /** Turns by name that this process has not given back, because the provider may still be at work. */
  readonly kept = new LRUCache<string, Lease>({ max: MAX_KEPT_LEASES });
  readonly looks = new SingleFlight<OpenedGrant | undefined>();
  readonly refreshes = new SingleFlight<Refreshed>();
  readonly trouble: VaultTrouble;
  /** Changes when something is forgotten: what was read before may be out of date and is not kept. */
  epoch = 0;
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #holdMs: number;
  readonly #leaving = new AbortController();
  readonly #closing = new AbortController();
  readonly #sweeper: NodeJS.Timeout;
  readonly #numbers = new WeakMap<Provider, number>();
  #providers = 0;

  constructor({ metrics, log, clock }: Tools, { holdMs }: Pick<RefreshLimits, 'holdMs'> = REFRESH_LIMITS) {
    this.#holdMs = holdMs;
    this.opened = new OpenedGrants(metrics);
    this.trouble = new VaultTrouble(log, clock);
    this.#sweeper = setInterval(() => this.opened.sweep(clock.nowMs()), SWEEP_EVERY_MS);
    this.#sweeper.unref();
  }

  /** The process is going to end: what has not reached a provider yet is left to others. */
  get leaving(): AbortSignal {
    return this.#leaving.signal;
  }

  /** Ends the attempts to store when the process has to end. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Another one for each provider, also for the same one under other settings: failures of before say nothing of it. */
  numberOf(provider: Provider): number {
    let number = this.#numbers.get(provider);
    if (number === undefined) {
      number = this.#providers++;
      this.#numbers.set(provider, number);
    }
    return number;
  }

  /** Closing waits for it. */
  follow<T>(job: Promise<T>): Promise<T> {
    const running: Promise<T> = job.finally(() => this.#underWay.delete(running));
    this.#underWay.add(running);
    return running;
  }

  /** Ends when no refresh is under way any more, so that no rotated token is lost; close the vault after it. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    this.#leaving.abort();
    // What a provider rotates until then is nowhere else.
    await settledWithin(this.#underWay, this.#holdMs + STORE_LIMIT_MS);
    this.#closing.abort();
    await settledWithin(this.#underWay, LAST_ATTEMPT_MS);
    this.opened.clear();
  }
}

async function settledWithin(jobs: Iterable<Promise<unknown>>, limitMs: number): Promise<void> {
  await abandonable(Promise.allSettled(jobs), AbortSignal.timeout(limitMs)).catch(() => {});
}
