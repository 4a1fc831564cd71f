import { LRUCache } from 'lru-cache';

/**
 * Finds what was prepared for a route's metadata. Envoy sends the metadata with every call, as a Struct whose key
 * order varies (covered by test/e2e/envoy-facts.test.ts): the bytes are looked up first, then a canonical form, so
 * that each distinct policy is parsed and prepared once.
 */
export class PolicyMemo<T extends object> {
  readonly #byBytes: LRUCache<string, T>;
  readonly #byMeaning: LRUCache<string, T>;
  readonly #decode: (metadata: Buffer) => unknown;
  readonly #prepare: (raw: unknown, canonical: string) => T;

  /**
   * @param decode bytes of a Struct → plain value; throws on bytes that are none
   * @param prepare makes what is remembered, for good and for bad policies alike
   * @param maxBytes bound of the byte forms kept
   */
  constructor(
    decode: (metadata: Buffer) => unknown,
    prepare: (raw: unknown, canonical: string) => T,
    maxBytes = 64 * 1024 * 1024,
  ) {
    this.#decode = decode;
    this.#prepare = prepare;
    this.#byBytes = new LRUCache({ maxSize: maxBytes, sizeCalculation: (_, bytes) => bytes.length + 64 });
    this.#byMeaning = new LRUCache({ max: 20_000 });
  }

  get(metadata: Buffer): T {
    const bytes = metadata.toString('latin1');
    let found = this.#byBytes.get(bytes);
    if (!found) {
      const raw = this.#decode(metadata);
      const canonical = canonicalJson(raw);
      found = this.#byMeaning.get(canonical);
      if (!found) {
        // Parsed from the canonical form, so that nothing that follows depends on the order in which keys came.
        found = this.#prepare(JSON.parse(canonical), canonical);
        this.#byMeaning.set(canonical, found);
      }
      this.#byBytes.set(bytes, found);
    }
    return found;
  }

  /** Distinct policies seen. */
  get size(): number {
    return this.#byMeaning.size;
  }
}

/** JSON with sorted keys: equal for equal values, whatever order their keys came in. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const fields = value as Record<string, unknown>;
  return `{${Object.keys(fields)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(fields[key])}`)
    .join(',')}}`;
}
