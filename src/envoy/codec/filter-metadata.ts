import type { WireReader } from './wire-reader.ts';

/**
 * Reads an envoy.config.core.v3.Metadata and gives the bytes of the google.protobuf.Struct that stands in
 * `filter_metadata` under `namespace` (ASCII), not decoded; without one, `found` as it came. As in every protobuf map
 * the last entry with a key counts.
 */
export function readFilterMetadata(
  reader: WireReader,
  tag: number,
  namespace: string,
  found: Buffer | undefined,
): Buffer | undefined {
  const outer = reader.enter(tag);
  let struct = found;
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    if (field >>> 3 === 1) struct = readEntry(reader, field, namespace) ?? struct;
    else reader.skip(field);
  }
  reader.leave(outer);
  return struct;
}

function readEntry(reader: WireReader, tag: number, namespace: string): Buffer | undefined {
  const outer = reader.enter(tag);
  let wanted = false;
  let start = -1;
  let end = -1;
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    switch (field >>> 3) {
      case 1:
        wanted = reader.equals(field, namespace);
        break;
      case 2:
        // Implementations differ in whether two values of one entry merge; no sender writes two.
        if (start !== -1) throw reader.fault('metadata entry has two values');
        start = reader.span(field);
        end = reader.pos;
        break;
      default:
        reader.skip(field);
    }
  }
  reader.leave(outer);
  return wanted ? reader.buf.subarray(Math.max(start, 0), Math.max(end, 0)) : undefined;
}
