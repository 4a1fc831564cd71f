import { LRUCache } from 'lru-cache';

export interface MetadataReading {
  /** Bytes of a Struct → plain value; throws on bytes that are none. */
  readonly decode: (metadata: Buffer) => unknown;
  /** Bytes of a Struct → a text; equal texts only for equal values. */
  readonly keyOf: (metadata: Buffer) => string;
}

/**
 * Finds what was prepared for a route's metadata. Envoy sends the metadata with every call, as a Struct whose key
 * order varies (covered by test/e2e/envoy-facts.test.ts): a key that leaves the order out is looked up first, then a
 * canonical form, so that each distinct policy is parsed and prepared once.
 */
export class PolicyMemo<T extends object> {
  readonly #byKey: LRUCache<string, T>;
  readonly #byMeaning: LRUCache<string, T>;
  readonly #parts: MetadataReading;
  readonly #prepare: (raw: unknown, canonical: string) => T;

  /**
   * @param prepare makes what is remembered, for good and for bad policies alike
   * @param maxBytes bound of the keys kept
   */
  constructor(parts: MetadataReading, prepare: (raw: unknown, canonical: string) => T, maxBytes = 16 * 1024 * 1024) {
    this.#parts = parts;
    this.#prepare = prepare;
    this.#byKey = new LRUCache({ maxSize: maxBytes, sizeCalculation: (_, key) => key.length + 64 });
    this.#byMeaning = new LRUCache({ max: 20_000 });
  }

  get(metadata: Buffer): T {
    const key = this.#parts.keyOf(metadata);
    let found = this.#byKey.get(key);
    if (!found) {
      const raw = this.#parts.decode(metadata);
      const canonical = canonicalJson(raw);
      found = this.#byMeaning.get(canonical);
      if (!found) {
        // Parsed from the canonical form, so that nothing that follows depends on the order in which keys came.
        found = this.#prepare(JSON.parse(canonical), canonical);
        this.#byMeaning.set(canonical, found);
      }
      this.#byKey.set(key, found);
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
