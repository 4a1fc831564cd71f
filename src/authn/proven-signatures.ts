import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';

/** About what a hash takes, with its places in the list and the map. */
const ENTRY_BYTES = 160;
const MAX_BYTES = 24 * 1024 ** 2;

/**
 * Which tokens of one method bore a right signature: a hash of the whole text each, so that far more are known than whole
 * users fit into memory. A token that was forgotten is read and judged anew, only the signature is not computed again.
 */
export class ProvenSignatures {
  readonly #generations = new LRUCache<string, number>({ maxSize: MAX_BYTES, sizeCalculation: () => ENTRY_BYTES });

  /** @param generation of the keys: another set of keys proves nothing about this one */
  add(token: string, generation: number): void {
    this.#generations.set(digestOf(token), generation);
  }

  has(token: string, generation: number): boolean {
    return this.#generations.get(digestOf(token)) === generation;
  }
}

function digestOf(token: string): string {
  return hash('sha256', token, 'base64url');
}
