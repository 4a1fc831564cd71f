import type { JsonScanner } from './json-scan.ts';

/**
 * The form under which member names are the same to some backend: equal forms for all that Go's encoding/json
 * (Unicode simple folding: U+017F is s, U+212A is k), Java's equalsIgnoreCase (U+0130 and U+0131 are i) and .NET's
 * OrdinalIgnoreCase hold for equal. It takes a little more for equal than they do, never less.
 */
export function foldKey(key: string): string {
  return key.replaceAll('\u0130', 'i').toLowerCase().toUpperCase().toLowerCase();
}

/** The members of an object that mean something to us, as the specification spells them; at most 30. */
export class KnownKeys {
  readonly names: readonly string[];
  readonly spelled: readonly Buffer[];
  readonly folded: ReadonlyMap<string, string>;

  constructor(names: readonly string[]) {
    this.names = names;
    this.spelled = names.map((name) => Buffer.from(name));
    this.folded = new Map(names.map((name) => [foldKey(name), name]));
  }
}

export interface KeyFault {
  readonly reason: 'ambiguous' | 'duplicate_key' | 'wrong_case_key' | 'too_many_keys';
  readonly detail: string;
}

export interface KeyRules {
  /** How the object is called in details. */
  readonly where: string;
  readonly known: KnownKeys;
  /** A further name that may stand in its exact spelling only. */
  readonly exact?: string | undefined;
  /** A name that may not stand at all, and why. */
  readonly forbidden?: { readonly name: string; readonly detail: string } | undefined;
}

/** Far more than any client sends. */
const MAX_KEYS = 256;

/** The keys of one object while it is read: refuses a key that some parser takes for another one. */
export class MemberKeys {
  readonly #json: JsonScanner;
  readonly #rules: KeyRules;
  /** Bit n: name n of the known ones was there. */
  #knownSeen = 0;
  #othersSeen: Set<string> | undefined;
  fault: KeyFault | undefined;

  constructor(json: JsonScanner, rules: KeyRules) {
    this.#json = json;
    this.#rules = rules;
  }

  /** Whether the known `name` was there. */
  has(name: string): boolean {
    return (this.#knownSeen & (1 << this.#rules.known.names.indexOf(name))) !== 0;
  }

  /** Takes the key literal in `[start, end)`: its name when known, '' for any other, undefined after a `fault`. */
  claim(start: number, end: number): string | undefined {
    const { spelled } = this.#rules.known;
    for (let n = 0; n < spelled.length; n++)
      if (this.#stands(spelled[n] as Buffer, start, end)) return this.#claimKnown(n);
    return this.#claimOther(start, end);
  }

  #claimKnown(n: number): string | undefined {
    const bit = 1 << n;
    if (this.#knownSeen & bit) return this.#refuse('duplicate_key', 'has a key twice');
    this.#knownSeen |= bit;
    return this.#rules.known.names[n];
  }

  /** A key that is none of the known ones byte for byte. */
  #claimOther(start: number, end: number): string | undefined {
    const { known, exact, forbidden } = this.#rules;
    const key = this.#json.text(start, end);
    // A JavaScript backend that copies members one by one makes `__proto__` the prototype: its members then pass for own.
    if (key === undefined || key === '__proto__')
      return this.#refuse('ambiguous', 'has a key that parsers read differently');
    const folded = foldKey(key);
    const name = known.folded.get(folded);
    if (name === key) return this.#claimKnown(known.names.indexOf(name));
    if ((name !== undefined && this.has(name)) || this.#othersSeen?.has(folded))
      return this.#refuse('duplicate_key', 'has a key twice');
    if (name !== undefined) return this.#refuse('wrong_case_key', `has ${name} in another case`);
    if (exact !== undefined && key !== exact && folded === foldKey(exact))
      return this.#refuse('wrong_case_key', 'has our own key in another case');
    if (forbidden !== undefined && folded === forbidden.name) return this.#refuse('ambiguous', forbidden.detail);
    this.#othersSeen ??= new Set();
    if (this.#othersSeen.size === MAX_KEYS) return this.#refuse('too_many_keys', `has more than ${MAX_KEYS} keys`);
    this.#othersSeen.add(folded);
    return '';
  }

  #stands(spelled: Buffer, start: number, end: number): boolean {
    const { bytes } = this.#json;
    const { length } = spelled;
    if (end - start !== length + 2) return false;
    for (let i = 0; i < length; i++) if (bytes[start + 1 + i] !== spelled[i]) return false;
    return true;
  }

  #refuse(reason: KeyFault['reason'], detail: string): undefined {
    this.fault = { reason, detail: `${this.#rules.where} ${detail}` };
    return undefined;
  }
}
