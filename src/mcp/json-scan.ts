/** Half-open byte range `[start, end)` of a body. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What one member of an object is read with; gives the offset behind the value, or -1 to stop. */
export type MemberVisitor = (keyStart: number, keyEnd: number, valueStart: number) => number;

/** What one element of an array is read with; gives the offset behind it, or -1 to stop. */
export type ElementVisitor = (valueStart: number) => number;

export type JsonFault = 'not_json' | 'too_deep';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
const LOWER_U = 0x75;

const TRUE = [0x74, 0x72, 0x75, 0x65];
const FALSE = [0x66, 0x61, 0x6c, 0x73, 0x65];
const NULL = [0x6e, 0x75, 0x6c, 0x6c];

/** Containers inside each other; serde_json refuses beyond the same number. */
const DEFAULT_MAX_DEPTH = 128;

/**
 * Reads JSON text (RFC 8259, exactly what `JSON.parse` accepts apart from the depth limit) where it lies, without
 * building values. Each method takes the offset to read at and gives the offset behind what it read, or -1; then
 * `fault` and `faultAt` say why and where. The bytes must have passed `isUtf8`; offsets count bytes.
 * Time is linear in the bytes, stack depth is bounded by `maxDepth`.
 */
export class JsonScanner {
  readonly bytes: Buffer;
  readonly #maxDepth: number;
  fault: JsonFault = 'not_json';
  faultAt = 0;

  constructor(bytes: Buffer, maxDepth: number = DEFAULT_MAX_DEPTH) {
    this.bytes = bytes;
    this.#maxDepth = maxDepth;
  }

  skipSpace(at: number): number {
    const { bytes } = this;
    const { length } = bytes;
    let i = at;
    while (i < length) {
      const c = bytes[i] as number;
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) break;
      i++;
    }
    return i;
  }

  /** @param depth how many containers are open around the value */
  skipValue(at: number, depth: number): number {
    const c = this.bytes[at];
    switch (c) {
      case QUOTE:
        return this.skipString(at);
      case OPEN_OBJECT:
        return this.members(at, depth);
      case OPEN_ARRAY:
        return this.elements(at, depth);
      case 0x74:
        return this.#skipWord(at, TRUE);
      case 0x66:
        return this.#skipWord(at, FALSE);
      case 0x6e:
        return this.#skipWord(at, NULL);
      default:
        return this.#skipNumber(at);
    }
  }

  /** Reads the object that opens at `at`; hands each member to `visit`, or skips the values without one. */
  members(at: number, depth: number, visit?: MemberVisitor): number {
    const { bytes } = this;
    if (depth >= this.#maxDepth) return this.#fail(at, 'too_deep');
    let i = this.skipSpace(at + 1);
    if (bytes[i] === CLOSE_OBJECT) return i + 1;
    for (;;) {
      if (bytes[i] !== QUOTE) return this.#fail(i);
      const keyEnd = this.skipString(i);
      if (keyEnd < 0) return -1;
      const colon = this.skipSpace(keyEnd);
      if (bytes[colon] !== COLON) return this.#fail(colon);
      const valueStart = this.skipSpace(colon + 1);
      const valueEnd = visit === undefined ? this.skipValue(valueStart, depth + 1) : visit(i, keyEnd, valueStart);
      if (valueEnd < 0) return -1;
      i = this.skipSpace(valueEnd);
      if (bytes[i] === CLOSE_OBJECT) return i + 1;
      if (bytes[i] !== COMMA) return this.#fail(i);
      i = this.skipSpace(i + 1);
    }
  }

  /** Reads the array that opens at `at`; hands the start of each element to `visit`, or skips them without one. */
  elements(at: number, depth: number, visit?: ElementVisitor): number {
    const { bytes } = this;
    if (depth >= this.#maxDepth) return this.#fail(at, 'too_deep');
    let i = this.skipSpace(at + 1);
    if (bytes[i] === CLOSE_ARRAY) return i + 1;
    for (;;) {
      const valueEnd = visit === undefined ? this.skipValue(i, depth + 1) : visit(i);
      if (valueEnd < 0) return -1;
      i = this.skipSpace(valueEnd);
      if (bytes[i] === CLOSE_ARRAY) return i + 1;
      if (bytes[i] !== COMMA) return this.#fail(i);
      i = this.skipSpace(i + 1);
    }
  }

  /** @param at offset of the opening quote */
  skipString(at: number): number {
    const { bytes } = this;
    let i = at + 1;
    for (;;) {
      const c = bytes[i] as number;
      if (c === QUOTE) return i + 1;
      if (c === BACKSLASH) {
        const width = this.#escapeWidth(i + 1);
        if (width === 0) return this.#fail(i);
        i += width;
      } else if (c >= 0x20) i++;
      // Control characters stand escaped only; past the end `c` is undefined and lands here too.
      else return this.#fail(i);
    }
  }

  /**
   * The string literal in `[start, end)`, quotes included, decoded. Undefined when decoders disagree about it: U+0000
   * ends a string in C, and a lone surrogate becomes U+FFFD, an error or three odd bytes, depending on who reads it.
   */
  text(start: number, end: number): string | undefined {
    const { bytes } = this;
    let plain = true;
    for (let i = start + 1; i < end - 1; i++) {
      const c = bytes[i] as number;
      if (c === BACKSLASH || c >= 0x80) {
        plain = false;
        break;
      }
    }
    if (plain) return bytes.toString('latin1', start + 1, end - 1);
    const text = JSON.parse(bytes.toString('utf8', start, end)) as string;
    return /[\0\p{Surrogate}]/u.test(text) ? undefined : text;
  }

  /** RFC 8259 6: `[-] int [frac] [exp]`, no leading zeros, no bare dot. */
  #skipNumber(at: number): number {
    const { bytes } = this;
    let i = bytes[at] === MINUS ? at + 1 : at;
    const whole = i;
    i = this.#skipDigits(i);
    if (i === whole || (bytes[whole] === ZERO && i > whole + 1)) return this.#fail(whole);
    if (bytes[i] === DOT) {
      const fraction = i + 1;
      i = this.#skipDigits(fraction);
      if (i === fraction) return this.#fail(i);
    }
    if (((bytes[i] as number) | 0x20) === 0x65) {
      const sign = bytes[i + 1];
      const exponent = sign === PLUS || sign === MINUS ? i + 2 : i + 1;
      i = this.#skipDigits(exponent);
      if (i === exponent) return this.#fail(i);
    }
    return i;
  }

  #skipDigits(at: number): number {
    const { bytes } = this;
    let i = at;
    while ((bytes[i] as number) >= ZERO && (bytes[i] as number) <= 0x39) i++;
    return i;
  }

  #skipWord(at: number, word: readonly number[]): number {
    for (let i = 0; i < word.length; i++) if (this.bytes[at + i] !== word[i]) return this.#fail(at);
    return at + word.length;
  }

  /** How many bytes the escape takes whose letter stands at `at`, backslash included; 0 when it is none. */
  #escapeWidth(at: number): number {
    const { bytes } = this;
    switch (bytes[at]) {
      case QUOTE:
      case BACKSLASH:
      case 0x2f: // /
      case 0x62: // b
      case 0x66: // f
      case 0x6e: // n
      case 0x72: // r
      case 0x74: // t
        return 2;
      case LOWER_U:
        return isHex(bytes[at + 1]) && isHex(bytes[at + 2]) && isHex(bytes[at + 3]) && isHex(bytes[at + 4]) ? 6 : 0;
      default:
        return 0;
    }
  }

  #fail(at: number, fault: JsonFault = 'not_json'): number {
    this.fault = fault;
    this.faultAt = at;
    return -1;
  }
}

function isHex(c: number | undefined): boolean {
  if (c === undefined) return false;
  const letter = c | 0x20;
  return (c >= ZERO && c <= 0x39) || (letter >= 0x61 && letter <= 0x66);
}
