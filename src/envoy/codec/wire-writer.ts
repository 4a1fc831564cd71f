import { FIXED64, LENGTH_DELIMITED, VARINT } from './wire.ts';

/**
 * Writes a message from its end to its beginning, so that a length is known when it is due and nothing is measured
 * twice or moved. Callers therefore write fields and list items in reverse; readers see them in order.
 */
export class WireWriter {
  #buf: Buffer;
  /** Offset of the first byte written so far. */
  #start: number;

  /** @param capacity bytes expected; it grows beyond them when needed */
  constructor(capacity: number) {
    this.#buf = Buffer.allocUnsafe(capacity);
    this.#start = capacity;
  }

  /** Call before the fields of a sub-message; hand the result to `message` after them. */
  mark(): number {
    return this.#buf.length - this.#start;
  }

  /** Makes what was written since `mark` the sub-message `field`. */
  message(field: number, mark: number): void {
    this.#head(field, LENGTH_DELIMITED, this.mark() - mark);
  }

  bytes(field: number, value: Buffer): void {
    value.copy(this.#buf, this.#room(value.length));
    this.#head(field, LENGTH_DELIMITED, value.length);
  }

  utf8(field: number, value: string): void {
    const length = Buffer.byteLength(value);
    const start = this.#room(length);
    this.#buf.write(value, start, 'utf8');
    this.#head(field, LENGTH_DELIMITED, length);
  }

  /** One byte per character; the caller has made sure that none is above U+00FF. */
  latin1(field: number, value: string): void {
    const start = this.#room(value.length);
    this.#buf.write(value, start, 'latin1');
    this.#head(field, LENGTH_DELIMITED, value.length);
  }

  /** Below 2^31; zero is written too. */
  uint(field: number, value: number): void {
    this.#head(field, VARINT, value);
  }

  double(field: number, value: number): void {
    const start = this.#room(8);
    this.#buf.writeDoubleLE(value, start);
    this.#varint((field << 3) | FIXED64);
  }

  /** The message: a view of a buffer that nothing else writes to. */
  finish(): Buffer {
    return this.#buf.subarray(this.#start);
  }

  #head(field: number, wireType: number, value: number): void {
    this.#varint(value);
    this.#varint((field << 3) | wireType);
  }

  #varint(value: number): void {
    if (value < 0x80) {
      const start = this.#room(1);
      this.#buf[start] = value;
      return;
    }
    const length = value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
    let at = this.#room(length);
    for (let rest = value; ; rest >>>= 7) {
      if (rest < 0x80) {
        this.#buf[at] = rest;
        return;
      }
      this.#buf[at++] = (rest & 0x7f) | 0x80;
    }
  }

  /** Makes room for `length` bytes in front of what is there; gives their offset. */
  #room(length: number): number {
    if (this.#start < length) this.#grow(length);
    this.#start -= length;
    return this.#start;
  }

  #grow(length: number): void {
    const used = this.mark();
    const grown = Buffer.allocUnsafe(2 * this.#buf.length + length);
    this.#buf.copy(grown, grown.length - used, this.#start);
    this.#buf = grown;
    this.#start = grown.length - used;
  }
}
