import { EncodeError } from './wire.ts';
import { WireReader } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
export interface JsonObject {
  [name: string]: JsonValue;
}

/** Structs and lists inside one another. Envoy's own parser ends at about 33 (100 nested messages, 3 a level). */
const MAX_DEPTH = 64;

/**
 * Reads a google.protobuf.Struct. Objects have no prototype: a member called `__proto__` or `constructor` is a member
 * like any other. The last of equal member names counts, as in every protobuf map.
 *
 * @throws DecodeError, also for what has no JSON form: a value of no kind or of two kinds, NaN, infinity
 */
export function decodeStruct(buf: Buffer): JsonObject {
  return readMembers(new WireReader(buf), Object.create(null) as JsonObject, 1);
}

function readMembers(reader: WireReader, object: JsonObject, depth: number): JsonObject {
  if (depth > MAX_DEPTH) throw reader.fault('struct is nested too deeply');
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    if (field >>> 3 === 1) readMember(reader, field, object, depth);
    else reader.skip(field);
  }
  return object;
}

function readMember(reader: WireReader, tag: number, object: JsonObject, depth: number): void {
  const outer = reader.enter(tag);
  let name = '';
  let value: JsonValue | undefined;
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    switch (field >>> 3) {
      case 1:
        name = reader.utf8(field);
        break;
      case 2:
        if (value !== undefined) throw reader.fault('struct member has two values');
        value = readValue(reader, field, depth);
        break;
      default:
        reader.skip(field);
    }
  }
  if (value === undefined) throw reader.fault('struct member has no value');
  reader.leave(outer);
  object[name] = value;
}

function readValue(reader: WireReader, tag: number, depth: number): JsonValue {
  const outer = reader.enter(tag);
  let value: JsonValue | undefined;
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    if (value !== undefined && field >>> 3 <= 6) throw reader.fault('struct value is of two kinds');
    switch (field >>> 3) {
      case 1:
        if (reader.uint32(field) !== 0) throw reader.fault('null value is not 0');
        value = null;
        break;
      case 2:
        value = reader.double(field);
        if (!Number.isFinite(value)) throw reader.fault('struct number is not finite');
        break;
      case 3:
        value = reader.utf8(field);
        break;
      case 4:
        value = reader.bool(field);
        break;
      case 5: {
        const inner = reader.enter(field);
        value = readMembers(reader, Object.create(null) as JsonObject, depth + 1);
        reader.leave(inner);
        break;
      }
      case 6: {
        const inner = reader.enter(field);
        value = readItems(reader, depth + 1);
        reader.leave(inner);
        break;
      }
      default:
        reader.skip(field);
    }
  }
  if (value === undefined) throw reader.fault('struct value is of no kind');
  reader.leave(outer);
  return value;
}

function readItems(reader: WireReader, depth: number): JsonValue[] {
  if (depth > MAX_DEPTH) throw reader.fault('struct is nested too deeply');
  const items: JsonValue[] = [];
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    if (field >>> 3 === 1) items.push(readValue(reader, field, depth));
    else reader.skip(field);
  }
  return items;
}

/**
 * Writes `object` as a google.protobuf.Struct, the form of `dynamicMetadata`.
 *
 * @throws EncodeError for what has no JSON form and for more than 64 levels, cycles included
 */
export function encodeStruct(object: JsonObject): Buffer {
  const writer = new WireWriter(256);
  writeMembers(writer, object, 1);
  return writer.finish();
}

function writeMembers(writer: WireWriter, object: JsonObject, depth: number): void {
  if (depth > MAX_DEPTH) throw new EncodeError('struct is nested too deeply');
  for (const name of Object.keys(object).toReversed()) {
    const member = writer.mark();
    const value = writer.mark();
    writeKind(writer, object[name] as JsonValue, depth);
    writer.message(2, value);
    writer.utf8(1, name);
    writer.message(1, member);
  }
}

function writeKind(writer: WireWriter, value: JsonValue, depth: number): void {
  switch (typeof value) {
    case 'string':
      writer.utf8(3, value);
      return;
    case 'boolean':
      writer.uint(4, value ? 1 : 0);
      return;
    case 'number':
      if (!Number.isFinite(value)) throw new EncodeError('a struct holds finite numbers only');
      writer.double(2, value);
      return;
    case 'object': {
      const mark = writer.mark();
      if (value === null) {
        writer.uint(1, 0);
      } else if (Array.isArray(value)) {
        writeItems(writer, value, depth + 1);
        writer.message(6, mark);
      } else {
        writeMembers(writer, value, depth + 1);
        writer.message(5, mark);
      }
      return;
    }
    default:
      throw new EncodeError(`a struct cannot hold a value of type ${typeof value}`);
  }
}

function writeItems(writer: WireWriter, items: JsonValue[], depth: number): void {
  if (depth > MAX_DEPTH) throw new EncodeError('struct is nested too deeply');
  for (let i = items.length - 1; i >= 0; i--) {
    const item = writer.mark();
    writeKind(writer, items[i] as JsonValue, depth);
    writer.message(1, item);
  }
}
