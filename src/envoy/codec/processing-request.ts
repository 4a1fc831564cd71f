import { readFilterMetadata } from './filter-metadata.ts';
import { readHeaderMap } from './header-map.ts';
import { WireReader } from './wire-reader.ts';

export type ProcessingKind =
  | 'request_headers'
  | 'response_headers'
  | 'request_body'
  | 'response_body'
  | 'request_trailers'
  | 'response_trailers';

/** By field number of the oneof `request`. */
const KINDS: readonly (ProcessingKind | undefined)[] = [
  undefined,
  undefined,
  'request_headers',
  'response_headers',
  'request_body',
  'response_body',
  'request_trailers',
  'response_trailers',
];

/** What is read of an envoy.service.ext_proc.v3.ProcessingRequest. Buffers are views of the message. */
export interface ProcessingMessage {
  /** `unknown`: a kind this release does not know, or none. */
  kind: ProcessingKind | 'unknown';
  /** Headers or trailers, flat: name, value, … as in CheckMessage, `:status` and its like included. */
  headers: string[];
  /** Of headers: there is no body. Of a body: this is its end. */
  endOfStream: boolean;
  /** Empty unless it is a body. */
  body: Buffer;
  /** The Struct under the namespace that was asked for, see decodeStruct; Envoy sends it with every message. */
  dynamicMetadata: Buffer | undefined;
}

/**
 * Reads a ProcessingRequest once, front to back; merges as protobuf does, but refuses a message of two kinds.
 *
 * @param namespace of the dynamic metadata to hand out; ext_authz writes `envoy.filters.http.ext_authz`
 * @throws DecodeError
 */
export function decodeProcessingRequest(buf: Buffer, namespace: string): ProcessingMessage {
  const message: ProcessingMessage = {
    kind: 'unknown',
    headers: [],
    endOfStream: false,
    body: buf.subarray(0, 0),
    dynamicMetadata: undefined,
  };
  const reader = new WireReader(buf);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    const number = field >>> 3;
    const kind = KINDS[number];
    if (kind !== undefined) {
      if (message.kind !== kind && message.kind !== 'unknown') throw reader.fault('message is of two kinds');
      message.kind = kind;
    }
    switch (number) {
      case 2:
      case 3:
        readHeaders(reader, field, message);
        break;
      case 4:
      case 5:
        readBody(reader, field, message);
        break;
      case 6:
      case 7:
        readTrailers(reader, field, message);
        break;
      case 8:
        message.dynamicMetadata = readFilterMetadata(reader, field, namespace, message.dynamicMetadata);
        break;
      default:
        reader.skip(field);
    }
  }
  return message;
}

function readHeaders(reader: WireReader, tag: number, into: ProcessingMessage): void {
  const outer = reader.enter(tag);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    switch (field >>> 3) {
      case 1:
        readHeaderMap(reader, field, into.headers);
        break;
      case 3:
        into.endOfStream = reader.bool(field);
        break;
      default:
        reader.skip(field);
    }
  }
  reader.leave(outer);
}

function readBody(reader: WireReader, tag: number, into: ProcessingMessage): void {
  const outer = reader.enter(tag);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    switch (field >>> 3) {
      case 1:
        into.body = reader.bytes(field);
        break;
      case 2:
        into.endOfStream = reader.bool(field);
        break;
      default:
        reader.skip(field);
    }
  }
  reader.leave(outer);
}

function readTrailers(reader: WireReader, tag: number, into: ProcessingMessage): void {
  const outer = reader.enter(tag);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    if (field >>> 3 === 1) readHeaderMap(reader, field, into.headers);
    else reader.skip(field);
  }
  reader.leave(outer);
}
