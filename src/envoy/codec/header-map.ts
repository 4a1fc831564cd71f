import type { WireReader } from './wire-reader.ts';

/** Values up to this length are cut from one string of the whole block; see readHeaderMap. */
const CUT_LIMIT = 64;

/**
 * Reads an envoy.config.core.v3.HeaderMap into `flat`: name, value, name, value, … with lower-case names and
 * values as latin-1 text (one character per byte), copies of a name kept apart and in order.
 *
 * All short texts are cut from one string of the block, which costs a third of decoding each. A cut keeps the block
 * (a few KiB) alive, so long values, the tokens that caches keep, are decoded on their own.
 */
export function readHeaderMap(reader: WireReader, tag: number, flat: string[]): void {
  const outer = reader.enter(tag);
  const base = reader.pos;
  const block = reader.buf.latin1Slice(base, reader.end);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    if (field >>> 3 === 1) readHeader(reader, field, block, base, flat);
    else reader.skip(field);
  }
  reader.leave(outer);
}

function readHeader(reader: WireReader, tag: number, block: string, base: number, flat: string[]): void {
  const outer = reader.enter(tag);
  let name = base;
  let nameEnd = base;
  let value = base;
  let valueEnd = base;
  let raw = base;
  let rawEnd = base;
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    switch (field >>> 3) {
      case 1:
        name = reader.span(field);
        nameEnd = reader.pos;
        break;
      case 2:
        value = reader.span(field);
        valueEnd = reader.pos;
        break;
      case 3:
        raw = reader.span(field);
        rawEnd = reader.pos;
        break;
      default:
        reader.skip(field);
    }
  }
  reader.leave(outer);
  // Envoy fills `raw_value` and leaves `value` empty, except with encode_raw_headers off.
  if (raw !== rawEnd) {
    value = raw;
    valueEnd = rawEnd;
  }
  const spelled = block.substring(name - base, nameEnd - base);
  flat.push(
    isLowerCase(reader.buf, name, nameEnd) ? spelled : toLowerCase(reader, spelled),
    valueEnd - value > CUT_LIMIT
      ? reader.buf.latin1Slice(value, valueEnd)
      : block.substring(value - base, valueEnd - base),
  );
}

/** Envoy writes names in lower case; to look costs less than to convert. */
function isLowerCase(buf: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = buf[i] as number;
    if (byte > 0x7f || (byte >= 0x41 && byte <= 0x5a)) return false;
  }
  return true;
}

function toLowerCase(reader: WireReader, name: string): string {
  // RFC 9110 5.1: a field name is a token, and a token is ASCII.
  if (/[\x80-\xff]/.test(name)) throw reader.fault('header name is not ASCII');
  return name.toLowerCase();
}
