import type { CryptoKey } from 'jose';
import type { Counter, Tools } from '../core/ports.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import { SingleFlight } from '../core/single-flight.ts';
import { discover } from '../net/discovery.ts';
import type { Egress, EgressFetch } from '../net/egress.ts';
import { LocalKeys } from './local-keys.ts';

/** Keys older than this are fetched anew, so that withdrawn ones go. */
const REFRESH_MS = 10 * 60_000;
/** After a fetch for an unknown `kid`, another `kid` causes none for this long. */
const COOL_DOWN_MS = 30_000;
/** After a failure nothing is fetched for a second, then for two, four, … up to this. */
const MAX_BACK_OFF_MS = 30_000;
/** For one fetch with its discovery. */
const FETCH_LIMIT_MS = 10_000;

export type KeyAnswer =
  | { readonly kind: 'keys'; readonly keys: readonly CryptoKey[]; readonly generation: number }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

export interface KeySetSource {
  /** Name of the method, for metrics and the log. */
  readonly method: string;
  readonly issuer: string;
  /** Where the keys are; undefined: `jwks_uri` of the issuer's metadata document. */
  readonly jwksUri: string | undefined;
}

interface Current {
  readonly keys: LocalKeys;
  readonly generation: number;
}

/**
 * The signature keys of one issuer. They outlive an outage of the issuer; whatever `kid`s outsiders make up, at most one
 * fetch goes out per cool-down (jose's remote set asks again with every request while the issuer fails).
 */
export class KeySet {
  readonly #source: KeySetSource;
  readonly #tools: Tools;
  readonly #fetchMetadata: EgressFetch;
  readonly #fetchKeys: EgressFetch;
  readonly #succeeded: Counter;
  readonly #failed: Counter;
  readonly #flight = new SingleFlight<void>();
  #current: Current | undefined;
  #discovered: { readonly uri: string; readonly atMs: number } | undefined;
  #fetchedMs = -Infinity;
  #askedMs = -Infinity;
  #failedMs = -Infinity;
  /** In a row. */
  #failures = 0;

  constructor(source: KeySetSource, tools: Tools, egress: Egress) {
    this.#source = source;
    this.#tools = tools;
    this.#fetchMetadata = egress.for('discovery');
    this.#fetchKeys = egress.for('jwks');
    const counter = (outcome: string) =>
      tools.metrics.counter('mcp_identity_jwks_fetches_total', 'Fetches of issuer keys, discovery included', {
        method: source.method,
        outcome,
      });
    this.#succeeded = counter('ok');
    this.#failed = counter('failed');
  }

  /** Another number whenever the set of keys has changed; what was verified under an older one is verified again. */
  get generation(): number {
    return this.#current?.generation ?? 0;
  }

  /** Fetches the keys when there are none or they are old. Never rejects. */
  async warm(): Promise<void> {
    if (this.#flight.size > 0 || this.#wantsRefresh()) await this.#load();
  }

  /** Tells that the keys are in use, so that old ones are fetched anew behind the caller's back. */
  touch(): void {
    if (this.#wantsRefresh()) void this.#load();
  }

  /**
   * The keys that may have made a signature with `alg` and `kid`.
   * @throws only the abort reason of `signal`
   */
  async resolve(alg: string, kid: string | undefined, signal: AbortSignal): Promise<KeyAnswer> {
    this.touch();
    const before = await this.#find(alg, kid);
    if (before) return before;
    // A fetch that is under way answers this caller too: none is started beside it.
    if (this.#flight.size > 0 || this.#mayFetch()) {
      if (this.#current) this.#askedMs = this.#tools.clock.nowMs();
      await this.#load(signal);
      const after = await this.#find(alg, kid);
      if (after) return after;
    }
    if (this.#current && this.#failures === 0) return { kind: 'refused', refusal: refuse('token_key_unknown') };
    return { kind: 'refused', refusal: refuse('issuer_unavailable', { retryAfterSeconds: this.#retryAfterSeconds() }) };
  }

  async #find(alg: string, kid: string | undefined): Promise<KeyAnswer | undefined> {
    const current = this.#current;
    const keys = await current?.keys.find(alg, kid);
    return current && keys && keys.length > 0 ? { kind: 'keys', keys, generation: current.generation } : undefined;
  }

  #wantsRefresh(): boolean {
    return !this.#isWithin(this.#fetchedMs, REFRESH_MS) && !this.#backsOff();
  }

  #mayFetch(): boolean {
    return !this.#backsOff() && !this.#isWithin(this.#askedMs, COOL_DOWN_MS);
  }

  #backsOff(): boolean {
    return this.#failures > 0 && this.#isWithin(this.#failedMs, this.#backOffMs());
  }

  #backOffMs(): number {
    return Math.min(MAX_BACK_OFF_MS, 1_000 * 2 ** (this.#failures - 1));
  }

  #retryAfterSeconds(): number {
    return Math.max(1, Math.ceil((this.#failedMs + this.#backOffMs() - this.#tools.clock.nowMs()) / 1_000));
  }

  /** False after the clock was set back, so that no window lasts longer than it should. */
  #isWithin(sinceMs: number, windowMs: number): boolean {
    const elapsedMs = this.#tools.clock.nowMs() - sinceMs;
    return elapsedMs >= 0 && elapsedMs < windowMs;
  }

  /** One fetch at a time. @throws only the abort reason of `signal` */
  #load(signal?: AbortSignal): Promise<void> {
    return this.#flight.run('keys', FETCH_LIMIT_MS, (limit) => this.#refresh(limit), signal);
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#tools;
    const { method, issuer } = this.#source;
    try {
      const keys = await this.#fetch(signal);
      this.#fetchedMs = clock.nowMs();
      this.#failures = 0;
      this.#succeeded.inc();
      // An unchanged set keeps its imported keys, and the tokens verified with them.
      if (this.#current?.keys.fingerprint === keys.fingerprint) return;
      this.#current = { keys, generation: this.generation + 1 };
      log.info('the keys of an issuer have changed', { method, issuer, generation: this.generation });
    } catch (error) {
      this.#failures++;
      this.#failedMs = clock.nowMs();
      this.#askedMs = -Infinity; // the back-off stands in for the cool-down
      this.#discovered = undefined; // the keys may have moved
      this.#failed.inc();
      log.warn('the keys of an issuer could not be fetched', {
        method,
        issuer,
        failures: this.#failures,
        error: (error as Error).message,
      });
    }
  }

  async #fetch(signal: AbortSignal): Promise<LocalKeys> {
    const uri = this.#source.jwksUri ?? (await this.#discoverUri(signal));
    const headers = { accept: 'application/jwk-set+json, application/json' };
    const response = await this.#fetchKeys(uri, { method: 'GET', headers, signal });
    if (response.status !== 200) throw new Error(`the key set was answered with status ${response.status}`);
    const text = await response.text();
    try {
      return new LocalKeys(JSON.parse(text));
    } catch {
      throw new Error('the answer is not a JWK Set');
    }
  }

  async #discoverUri(signal: AbortSignal): Promise<string> {
    if (this.#discovered && this.#isWithin(this.#discovered.atMs, REFRESH_MS)) return this.#discovered.uri;
    const { jwks_uri: uri } = await discover(this.#source.issuer, this.#fetchMetadata, signal);
    if (typeof uri !== 'string') throw new Error('the metadata document of the issuer names no jwks_uri');
    this.#discovered = { uri, atMs: this.#tools.clock.nowMs() };
    return uri;
  }
}
