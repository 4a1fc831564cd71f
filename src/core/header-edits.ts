import { isUtf8 } from 'node:buffer';
import { Secret } from './secret.ts';

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

/** Whatever is not tab, space or visible ASCII. */
const UNUSUAL = /[^\t\x20-\x7e]/;
/** RFC 9110 5.5 forbids control characters; above U+00FF a character would lose bits and could become one. */
const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Why a value (latin-1 text) cannot be written by both filters of Envoy: ext_proc takes any bytes but control
 * characters, ext_authz only those that are UTF-8. Undefined when it can.
 */
export function valueFault(value: string): 'forbidden' | 'not_utf8' | undefined {
  if (!UNUSUAL.test(value)) return undefined;
  if (FORBIDDEN.test(value)) return 'forbidden';
  return isUtf8(Buffer.from(value, 'latin1')) ? undefined : 'not_utf8';
}

/** True for a value (latin-1 text) that can be written into a request. */
export function isCarriable(value: string): boolean {
  return valueFault(value) === undefined;
}

/** The name of a header whose value cannot be written; undefined when all can. */
export function unfitHeader(edits: HeaderEdits): string | undefined {
  for (const [name, value] of edits.written())
    if (!isCarriable(value instanceof Secret ? value.reveal() : value)) return name;
  return undefined;
}
