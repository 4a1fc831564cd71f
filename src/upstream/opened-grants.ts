import { LRUCache } from 'lru-cache';
import { countEvictions } from '../core/evictions.ts';
import type { Counter, Metrics } from '../core/ports.ts';
import type { Secret } from '../core/secret.ts';
import { type Life, lifeOf, type Seen } from './grant-life.ts';
import type { Grant } from './vault/vault.ts';

/** A token that may be used now. The same object for as long as the token is the same. */
export interface UpstreamToken {
  readonly kind: 'token';
  readonly accessToken: Secret;
  readonly generation: number;
}

/** A grant as this process holds it. Never changed; a new look gives a new one. */
export interface OpenedGrant extends Life {
  readonly grant: Grant;
  readonly token: UpstreamToken;
  /** The store held this generation at this time, by our clock. */
  readonly confirmedMs: number;
  readonly seen: Seen;
}

const MAX_BYTES = 32 * 1024 ** 2;
/** What an entry holds beside its tokens; an estimate. */
const ENTRY_BYTES = 1_024;
/** A grant that nobody has asked for is not kept open longer, in milliseconds. */
const IDLE_MS = 60_000;

/** Grants that are open in memory: bounded by bytes, and each only for a while. Facts, no verdicts. */
export class OpenedGrants {
  readonly #entries: LRUCache<string, OpenedGrant>;
  readonly #hits: Counter;
  readonly #misses: Counter;

  constructor(metrics: Metrics, maxBytes = MAX_BYTES) {
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: sizeOf,
      dispose: countEvictions(metrics, 'open_grants'),
    });
    this.#hits = metrics.counter('mcp_identity_upstream_cache_hits_total', 'Grants that were open in memory');
    this.#misses = metrics.counter('mcp_identity_upstream_cache_misses_total', 'Grants that had to be read');
    metrics.gauge('mcp_identity_upstream_cached_grants', 'Grants open in memory', () => this.#entries.size);
    metrics.gauge(
      'mcp_identity_upstream_cached_bytes',
      'Memory of open grants, estimated',
      () => this.#entries.calculatedSize,
    );
  }

  get(key: string): OpenedGrant | undefined {
    const entry = this.#entries.get(key);
    (entry ? this.#hits : this.#misses).inc();
    return entry;
  }

  /**
   * Takes over what the store held.
   * @param lookedMs when the look began, by our clock: from then on the store may have changed
   * @param refreshBeforeMs of the provider
   */
  take(key: string, grant: Grant, lookedMs: number, nowMs: number, refreshBeforeMs: number): OpenedGrant {
    const before = this.#entries.peek(key);
    const same = before?.grant.generation === grant.generation;
    // What was stored after this look began may be newer than what it saw; the next look will tell.
    if (before && !same && before.confirmedMs > lookedMs) return before;
    const seen = same
      ? before.seen
      : { notBeforeMs: before?.confirmedMs ?? Number.NEGATIVE_INFINITY, notAfterMs: nowMs };
    // A refusal that we know of may not have reached the store yet.
    const known = same && before.grant.stale && !grant.stale ? { ...grant, stale: true } : grant;
    return this.#put(key, known, same ? before.token : tokenOf(grant), seen, lookedMs, refreshBeforeMs);
  }

  /** Takes over what this process has stored itself just now. */
  stored(key: string, grant: Grant, nowMs: number, refreshBeforeMs: number): OpenedGrant {
    const seen = { notBeforeMs: grant.issuedAtMs, notAfterMs: nowMs };
    return this.#put(key, grant, tokenOf(grant), seen, nowMs, refreshBeforeMs);
  }

  markStale(key: string, generation: number): void {
    const entry = this.#entries.peek(key);
    if (entry?.grant.generation === generation)
      this.#entries.set(key, { ...entry, grant: { ...entry.grant, stale: true } });
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** Drops what nobody has asked for lately. */
  sweep(nowMs: number): void {
    for (const key of this.#entries.rkeys()) {
      const confirmedMs = this.#entries.peek(key)?.confirmedMs ?? 0;
      if (nowMs >= confirmedMs && nowMs - confirmedMs < IDLE_MS) return; // the least recently used come first
      this.#entries.delete(key);
    }
  }

  clear(): void {
    this.#entries.clear();
  }

  #put(key: string, grant: Grant, token: UpstreamToken, seen: Seen, confirmedMs: number, beforeMs: number) {
    const entry: OpenedGrant = { grant, token, seen, confirmedMs, ...lifeOf(grant, beforeMs, seen) };
    this.#entries.set(key, entry);
    return entry;
  }
}

function tokenOf({ accessToken, generation }: Grant): UpstreamToken {
  return { kind: 'token', accessToken, generation };
}

function sizeOf({ grant }: OpenedGrant, key: string): number {
  const { accessToken, refreshToken } = grant;
  // Only the lengths.
  return ENTRY_BYTES + key.length + accessToken.reveal().length + (refreshToken?.reveal().length ?? 0);
}
