import { isUtf8 } from 'node:buffer';
import { DecodeError, FIXED32, FIXED64, LENGTH_DELIMITED, VARINT } from './wire.ts';

/** Every Node Buffer has these; toString() looks its encoding up each time and costs twice as much. */
interface RawBuffer extends Buffer {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
}

/**
 * Reads protobuf fields one after the other, never beyond the message it is in. A message is a loop:
 * `enter`, then `tag` until it gives 0, with one read or `skip` per tag, then `leave`.
 * Stricter than protobuf where a sender of proto3 never goes: groups, a known field under another wire type,
 * over-long numbers and text that is not UTF-8 are all a DecodeError.
 */
export class WireReader {
  readonly buf: RawBuffer;
  /** Offset of the next byte. */
  pos = 0;
  /** Offset behind the message that is being read. */
  end: number;

  constructor(buf: Buffer) {
    this.buf = buf as RawBuffer;
    this.end = buf.length;
  }

  /** The next field: its number << 3 | its wire type; 0 at the end of the message. */
  tag(): number {
    if (this.pos === this.end) return 0;
    const tag = this.#varint();
    if (tag < 8) throw this.fault('no field number');
    return tag;
  }

  /** Goes into a sub-message; gives what `leave` needs. */
  enter(tag: number): number {
    const start = this.span(tag);
    const outer = this.end;
    this.end = this.pos;
    this.pos = start;
    return outer;
  }

  leave(outer: number): void {
    this.end = outer;
  }

  /** Passes over a length-delimited field; gives the offset where it starts, `pos` is where it ends. */
  span(tag: number): number {
    if ((tag & 7) !== LENGTH_DELIMITED) throw this.fault('wrong wire type');
    const length = this.#varint();
    if (length > this.end - this.pos) throw this.fault('field runs past its message');
    const start = this.pos;
    this.pos = start + length;
    return start;
  }

  /** The bytes of the field: a view, not a copy. */
  bytes(tag: number): Buffer {
    const start = this.span(tag);
    return this.buf.subarray(start, this.pos);
  }

  utf8(tag: number): string {
    const start = this.span(tag);
    if (start === this.pos) return '';
    const text = this.buf.utf8Slice(start, this.pos);
    // U+FFFD marks bytes that are not UTF-8, unless it was sent as such.
    if (text.includes('\ufffd') && !isUtf8(this.buf.subarray(start, this.pos))) throw this.fault('text is not UTF-8');
    return text;
  }

  /** Whether the field holds exactly `text`, which must be ASCII. */
  equals(tag: number, text: string): boolean {
    const start = this.span(tag);
    if (this.pos - start !== text.length) return false;
    for (let i = 0; i < text.length; i++) if (this.buf[start + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  uint32(tag: number): number {
    if ((tag & 7) !== VARINT) throw this.fault('wrong wire type');
    return this.#varint();
  }

  /** Beyond 2^53 rounded. */
  int64(tag: number): number {
    if ((tag & 7) !== VARINT) throw this.fault('wrong wire type');
    return this.#varint64();
  }

  bool(tag: number): boolean {
    const value = this.uint32(tag);
    if (value > 1) throw this.fault('neither true nor false');
    return value === 1;
  }

  double(tag: number): number {
    if ((tag & 7) !== FIXED64) throw this.fault('wrong wire type');
    const start = this.pos;
    this.#advance(8);
    return this.buf.readDoubleLE(start);
  }

  /** Passes over a field nobody reads here. */
  skip(tag: number): void {
    const wireType = tag & 7;
    if (wireType === LENGTH_DELIMITED) this.span(tag);
    else if (wireType === VARINT) this.#varint64();
    else if (wireType === FIXED64) this.#advance(8);
    else if (wireType === FIXED32) this.#advance(4);
    else throw this.fault('group or unknown wire type');
  }

  fault(what: string): DecodeError {
    return new DecodeError(`${what} (at byte ${this.pos})`);
  }

  #advance(length: number): void {
    if (length > this.end - this.pos) throw this.fault('field runs past its message');
    this.pos += length;
  }

  /** At most 32 bits, which is what tags, lengths and the numbers below are sent as: five bytes. */
  #varint(): number {
    if (this.pos < this.end) {
      const byte = this.buf[this.pos] as number;
      if (byte < 0x80) {
        this.pos++;
        return byte;
      }
    }
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte();
      value |= (byte & 0x7f) << shift;
      // The fifth byte has room for four bits.
      if (byte < 0x80 && (shift < 28 || byte < 0x10)) return value >>> 0;
    }
    throw this.fault('number is too long');
  }

  /** 64 bits, signed: ten bytes. */
  #varint64(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      const bits = byte & 0x7f;
      if (shift <= 28) low |= bits << shift;
      if (shift === 28) high = bits >>> 4;
      if (shift > 28) high |= bits << (shift - 32);
      // The tenth byte has room for one bit.
      if (byte < 0x80 && (shift < 63 || byte < 2)) return high * 0x1_0000_0000 + (low >>> 0);
    }
    throw this.fault('number is too long');
  }

  #byte(): number {
    if (this.pos === this.end) throw this.fault('number is cut off');
    return this.buf[this.pos++] as number;
  }
}
