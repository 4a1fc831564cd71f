import type { Secret } from './secret.ts';

export type HeaderValue = string | Secret;
/** A header to write: lower-case name, value. */
export type HeaderPair = readonly [name: string, value: HeaderValue];

/**
 * What happens to the header fields of a request: one operation per name, because Envoy applies removals
 * and settings in different orders in its two filters (covered by test/e2e/envoy-facts.test.ts).
 * A `set` replaces every copy that the client sent.
 */
export class HeaderEdits {
  readonly #operations = new Map<string, HeaderValue | null>();

  remove(name: string): void {
    if (!this.#operations.has(name)) this.#operations.set(name, null);
  }

  set(name: string, value: HeaderValue): void {
    this.#operations.set(name, value);
  }

  *removed(): Iterable<string> {
    for (const [name, value] of this.#operations) if (value === null) yield name;
  }

  *written(): Iterable<HeaderPair> {
    for (const [name, value] of this.#operations) if (value !== null) yield [name, value];
  }

  /** Names of the headers that are written, for the audit. */
  names(): string[] {
    const names: string[] = [];
    for (const [name, value] of this.#operations) if (value !== null) names.push(name);
    return names;
  }
}
