import { join } from 'node:path';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';

/** The trimmed files of proto/ through protobufjs: what the hand-written codec is compared with. */
const definitions = loadSync(
  ['envoy/service/auth/v3/external_auth.proto', 'envoy/service/ext_proc/v3/external_processor.proto'],
  { includeDirs: [join(import.meta.dirname, '../../../../proto')], keepCase: true, longs: Number, enums: String },
);

function type(name: string): MessageTypeDefinition<object, object> {
  return definitions[name] as MessageTypeDefinition<object, object>;
}

const auth = 'envoy.service.auth.v3';
const proc = 'envoy.service.ext_proc.v3';
export const CheckRequest = type(`${auth}.CheckRequest`);
export const CheckResponse = type(`${auth}.CheckResponse`);
export const ProcessingRequest = type(`${proc}.ProcessingRequest`);
export const ProcessingResponse = type(`${proc}.ProcessingResponse`);
export const Struct = type('google.protobuf.Struct');

/** A JSON value as a google.protobuf.Value in the form protobufjs takes and gives. */
function toProtoValue(value: unknown): object {
  if (value === null) return { nullValue: 'NULL_VALUE' };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (Array.isArray(value)) return { listValue: value.length === 0 ? {} : { values: value.map(toProtoValue) } };
  return { structValue: toProtoStruct(value as object) };
}

export function toProtoStruct(object: object): object {
  const members = Object.entries(object).map(([name, value]) => [name, toProtoValue(value)]);
  return members.length === 0 ? {} : { fields: Object.fromEntries(members) };
}

/** One field of a message in wire form; a number is a varint, a list a sub-message. */
export type Field = readonly [number: number, value: number | bigint | Buffer | string | readonly Field[]];

/** Writes fields exactly as listed, which a protobuf library would not do for odd messages. */
export function wire(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.map(([number, value]) => {
      if (typeof value === 'number' || typeof value === 'bigint') {
        return Buffer.concat([varint(BigInt(number) << 3n), varint(BigInt.asUintN(64, BigInt(value)))]);
      }
      const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.isBuffer(value) ? value : wire(value);
      return Buffer.concat([varint((BigInt(number) << 3n) | 2n), varint(BigInt(bytes.length)), bytes]);
    }),
  );
}

export function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}
