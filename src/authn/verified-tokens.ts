import { LRUCache } from 'lru-cache';
import { countEvictions } from '../core/evictions.ts';
import type { Metrics } from '../core/ports.ts';
import type { Validity } from './jwt-rules.ts';
import type { Outcome } from './method.ts';

/** What is known about a token whose signature was right: facts, no verdict about a request. */
export interface VerifiedToken {
  readonly outcome: Outcome & { readonly kind: 'identified' };
  /** The method that verified it: another one, and the same one under other settings, has other rules. */
  readonly verifier: object;
  readonly issuer: string;
  readonly validity: Validity;
  /** Of the keys it was verified with. */
  readonly generation: number;
}

const MAX_BYTES = 64 * 1024 ** 2;
/** What an entry holds beside its token: claims, attributes, scopes. An estimate. */
const ENTRY_BYTES = 1024;

/** The tokens that the jwt methods have verified, by their whole text; the least recently used go first. */
export class VerifiedTokens {
  readonly #entries: LRUCache<string, VerifiedToken>;

  constructor(metrics: Metrics, maxBytes = MAX_BYTES) {
    this.#entries = new LRUCache<string, VerifiedToken>({
      maxSize: maxBytes,
      sizeCalculation: (_, token) => token.length * 2 + ENTRY_BYTES,
      dispose: countEvictions(metrics, 'verified_tokens'),
    });
    metrics.gauge('mcp_identity_token_cache_entries', 'Verified tokens that are remembered', () => this.#entries.size);
    metrics.gauge(
      'mcp_identity_token_cache_bytes',
      'Memory of remembered tokens, estimated',
      () => this.#entries.calculatedSize,
    );
  }

  get(token: string): VerifiedToken | undefined {
    return this.#entries.get(token);
  }

  set(token: string, verified: VerifiedToken): void {
    this.#entries.set(token, verified);
  }

  delete(token: string): void {
    this.#entries.delete(token);
  }
}
