import { readFilterMetadata } from './filter-metadata.ts';
import { readHeaderMap } from './header-map.ts';
import { WireReader } from './wire-reader.ts';

/**
 * What is read of an envoy.service.auth.v3.CheckRequest. Texts that were not sent are empty, numbers 0; buffers are
 * views of the message.
 */
export interface CheckMessage {
  /** Envoy's number of the stream; not `x-request-id`. */
  requestId: string;
  method: string;
  /** With query. Bytes that are not UTF-8 are `!` here; the header `:path` has them as the client sent them. */
  path: string;
  host: string;
  scheme: string;
  protocol: string;
  /** Bytes of the request body, -1 when Envoy does not know. */
  size: number;
  /** Seconds since 1970 when Envoy saw the first byte. */
  timeSeconds: number;
  /**
   * Flat: name, value, name, value, … in the order of `header_map`, with `:authority`, `:path`, `:method` and
   * `:scheme`. Names are lower case, values latin-1 (one character per byte). Empty unless `headersRaw`.
   */
  headers: string[];
  /** False when Envoy sent its joined and altered copy (`headers`) instead: encode_raw_headers is off. */
  headersRaw: boolean;
  /** The body as bytes; undefined when it was empty or not sent. */
  rawBody: Buffer | undefined;
  /** Whether the body came as text, where odd bytes are `!`: pack_as_bytes is off. */
  textBody: boolean;
  /** IP address; empty for a unix socket. */
  peerAddress: string;
  peerPort: number;
  /** URI SAN, DNS SAN or subject of the peer's certificate. */
  peerPrincipal: string;
  /** URL-encoded PEM. */
  peerCertificate: string;
  /** The Struct of the route under the namespace that was asked for, see decodeStruct. */
  routeMetadata: Buffer | undefined;
}

/**
 * Reads a CheckRequest once, front to back. Sub-messages that occur repeatedly merge and the last of repeated values
 * counts, as protobuf has it.
 *
 * @param namespace of the route metadata to hand out
 * @throws DecodeError
 */
export function decodeCheckRequest(buf: Buffer, namespace: string): CheckMessage {
  const message: CheckMessage = {
    requestId: '',
    method: '',
    path: '',
    host: '',
    scheme: '',
    protocol: '',
    size: 0,
    timeSeconds: 0,
    headers: [],
    headersRaw: false,
    rawBody: undefined,
    textBody: false,
    peerAddress: '',
    peerPort: 0,
    peerPrincipal: '',
    peerCertificate: '',
    routeMetadata: undefined,
  };
  const reader = new WireReader(buf);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    if (field >>> 3 === 1) readAttributes(reader, field, namespace, message);
    else reader.skip(field);
  }
  return message;
}

function readAttributes(reader: WireReader, tag: number, namespace: string, into: CheckMessage): void {
  const outer = reader.enter(tag);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    switch (field >>> 3) {
      case 1:
        readPeer(reader, field, into);
        break;
      case 4:
        readRequest(reader, field, into);
        break;
      case 13:
        into.routeMetadata = readFilterMetadata(reader, field, namespace, into.routeMetadata);
        break;
      default:
        reader.skip(field);
    }
  }
  reader.leave(outer);
}

function readPeer(reader: WireReader, tag: number, into: CheckMessage): void {
  const outer = reader.enter(tag);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    switch (field >>> 3) {
      case 1:
        readAddress(reader, field, into);
        break;
      case 4:
        into.peerPrincipal = reader.utf8(field);
        break;
      case 5:
        into.peerCertificate = reader.utf8(field);
        break;
      default:
        reader.skip(field);
    }
  }
  reader.leave(outer);
}

function readAddress(reader: WireReader, tag: number, into: CheckMessage): void {
  const outer = reader.enter(tag);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    switch (field >>> 3) {
      case 1:
        readSocketAddress(reader, field, into);
        break;
      case 2: // a pipe
      case 3: // an Envoy-internal listener; a oneof: the last kind counts
        reader.span(field);
        into.peerAddress = '';
        into.peerPort = 0;
        break;
      default:
        reader.skip(field);
    }
  }
  reader.leave(outer);
}

function readSocketAddress(reader: WireReader, tag: number, into: CheckMessage): void {
  const outer = reader.enter(tag);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    switch (field >>> 3) {
      case 2:
        into.peerAddress = reader.utf8(field);
        break;
      case 3:
        into.peerPort = reader.uint32(field);
        break;
      default:
        reader.skip(field);
    }
  }
  reader.leave(outer);
}

function readRequest(reader: WireReader, tag: number, into: CheckMessage): void {
  const outer = reader.enter(tag);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    switch (field >>> 3) {
      case 1:
        readTime(reader, field, into);
        break;
      case 2:
        readHttp(reader, field, into);
        break;
      default:
        reader.skip(field);
    }
  }
  reader.leave(outer);
}

function readTime(reader: WireReader, tag: number, into: CheckMessage): void {
  const outer = reader.enter(tag);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    if (field >>> 3 === 1) into.timeSeconds = reader.int64(field);
    else reader.skip(field);
  }
  reader.leave(outer);
}

function readHttp(reader: WireReader, tag: number, into: CheckMessage): void {
  const outer = reader.enter(tag);
  for (let field = reader.tag(); field !== 0; field = reader.tag()) {
    switch (field >>> 3) {
      case 1:
        into.requestId = reader.utf8(field);
        break;
      case 2:
        into.method = reader.utf8(field);
        break;
      case 4:
        into.path = reader.utf8(field);
        break;
      case 5:
        into.host = reader.utf8(field);
        break;
      case 6:
        into.scheme = reader.utf8(field);
        break;
      case 9:
        into.size = reader.int64(field);
        break;
      case 10:
        into.protocol = reader.utf8(field);
        break;
      case 11:
        into.textBody = reader.span(field) !== reader.pos;
        break;
      case 12: {
        const body = reader.bytes(field);
        into.rawBody = body.length === 0 ? undefined : body;
        break;
      }
      case 13:
        into.headersRaw = true;
        readHeaderMap(reader, field, into.headers);
        break;
      default:
        reader.skip(field);
    }
  }
  reader.leave(outer);
}
