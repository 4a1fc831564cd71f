import protobuf from 'protobufjs';

/**
 * The messages the codec reads, with every field `repeated` and every text `bytes`: protobufjs then hands out each
 * occurrence as it was sent, and the merging that protobuf asks for (and protobufjs leaves out) is done below in plain
 * sight. Field numbers are those of proto/.
 */
const { root } = protobuf.parse(
  `syntax = "proto3";
  message Check { repeated Attributes attributes = 1; }
  message Attributes { repeated Peer source = 1; repeated Request request = 4; repeated Metadata route = 13; }
  message Peer { repeated Address address = 1; repeated bytes principal = 4; repeated bytes certificate = 5; }
  message Address { repeated Socket socket = 1; repeated bytes pipe = 2; repeated bytes internal = 3; }
  message Socket { repeated bytes address = 2; repeated uint32 port = 3; }
  message Request { repeated Time time = 1; repeated Http http = 2; }
  message Time { repeated int64 seconds = 1; }
  message Http {
    repeated bytes id = 1; repeated bytes method = 2; repeated bytes path = 4; repeated bytes host = 5;
    repeated bytes scheme = 6; repeated int64 size = 9; repeated bytes protocol = 10; repeated bytes text = 11;
    repeated bytes body = 12; repeated HeaderMap header_map = 13;
  }
  message HeaderMap { repeated Header headers = 1; }
  message Header { repeated bytes key = 1; repeated bytes value = 2; repeated bytes raw = 3; }
  message Metadata { repeated Entry entry = 1; }
  message Entry { repeated bytes key = 1; repeated bytes value = 2; }
  message Processing {
    repeated Headers request_headers = 2; repeated Headers response_headers = 3;
    repeated Body request_body = 4; repeated Body response_body = 5;
    repeated Trailers request_trailers = 6; repeated Trailers response_trailers = 7;
    repeated Metadata metadata = 8;
  }
  message Headers { repeated HeaderMap map = 1; repeated bool end = 3; }
  message Body { repeated bytes body = 1; repeated bool end = 2; }
  message Trailers { repeated HeaderMap map = 1; }`,
  { keepCase: true },
);

interface View {
  readonly [field: string]: readonly unknown[];
}

/** @throws what protobufjs throws */
function view(name: string, bytes: Buffer): View {
  const type = root.lookupType(name);
  return type.toObject(type.decode(bytes), { arrays: true, longs: Number });
}

const values = (views: readonly View[], field: string) => views.flatMap((each) => each[field] ?? []);
const all = (views: readonly View[], field: string) => values(views, field) as View[];
const last = (views: readonly View[], field: string) => values(views, field).at(-1) as Buffer | undefined;
const text = (views: readonly View[], field: string) => last(views, field)?.toString() ?? '';
const number = (views: readonly View[], field: string) => (values(views, field).at(-1) as number | undefined) ?? 0;

function flatHeaders(maps: readonly View[]): string[] {
  return all(maps, 'headers').flatMap((header) => {
    const raw = last([header], 'raw');
    const value = raw !== undefined && raw.length > 0 ? raw : last([header], 'value');
    return [text([header], 'key').toLowerCase(), value?.toString('latin1') ?? ''];
  });
}

function namespaceStruct(metadata: readonly View[], namespace: string): Buffer | undefined {
  const entry = all(metadata, 'entry').findLast((each) => text([each], 'key') === namespace);
  return entry === undefined ? undefined : (last([entry], 'value') ?? Buffer.alloc(0));
}

/** What decodeCheckRequest has to give for `bytes` unless it refuses; the peer's address where one kind was sent. */
export function expectedCheck(bytes: Buffer, namespace: string): Record<string, unknown> {
  const attributes = all([view('Check', bytes)], 'attributes');
  const source = all(attributes, 'source');
  const address = all(source, 'address');
  const socket = all(address, 'socket');
  const request = all(attributes, 'request');
  const http = all(request, 'http');
  const headerMaps = all(http, 'header_map');
  const body = last(http, 'body');
  const otherKinds = all(address, 'pipe').length + all(address, 'internal').length;
  return {
    requestId: text(http, 'id'),
    method: text(http, 'method'),
    path: text(http, 'path'),
    host: text(http, 'host'),
    scheme: text(http, 'scheme'),
    protocol: text(http, 'protocol'),
    size: number(http, 'size'),
    timeSeconds: number(all(request, 'time'), 'seconds'),
    headers: flatHeaders(headerMaps),
    headersRaw: headerMaps.length > 0,
    rawBody: body?.length === 0 ? undefined : body,
    textBody: (last(http, 'text')?.length ?? 0) > 0,
    ...(otherKinds === 0 ? { peerAddress: text(socket, 'address'), peerPort: number(socket, 'port') } : {}),
    peerPrincipal: text(source, 'principal'),
    peerCertificate: text(source, 'certificate'),
    routeMetadata: namespaceStruct(all(attributes, 'route'), namespace),
  };
}

const KINDS = [
  'request_headers',
  'response_headers',
  'request_body',
  'response_body',
  'request_trailers',
  'response_trailers',
] as const;

/** What decodeProcessingRequest has to give for `bytes` unless it refuses. */
export function expectedProcessing(bytes: Buffer, namespace: string): Record<string, unknown> {
  const message = view('Processing', bytes);
  const kind = KINDS.find((each) => all([message], each).length > 0) ?? 'unknown';
  const parts = all([message], kind);
  return {
    kind,
    headers: flatHeaders(all(parts, 'map')),
    endOfStream: values(parts, 'end').at(-1) === true,
    body: last(parts, 'body') ?? Buffer.alloc(0),
    dynamicMetadata: namespaceStruct(all([message], 'metadata'), namespace),
  };
}

interface Value {
  readonly nullValue?: number;
  readonly numberValue?: number;
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly structValue?: { readonly fields?: Readonly<Record<string, Value>> };
  readonly listValue?: { readonly values?: readonly Value[] };
}
const Struct = protobuf.Root.fromJSON(
  protobuf.common.get('google/protobuf/struct.proto') as protobuf.INamespace,
).lookupType('google.protobuf.Struct');

/** What decodeStruct has to give for `bytes` unless it refuses. */
export function expectedStruct(bytes: Buffer): unknown {
  return plain({ structValue: Struct.toObject(Struct.decode(bytes)) });
}

function plain(value: Value): unknown {
  if (value.structValue !== undefined) {
    const members = Object.entries(value.structValue.fields ?? {}).map(([name, member]) => [name, plain(member)]);
    return Object.fromEntries(members) as unknown;
  }
  if (value.listValue !== undefined) return (value.listValue.values ?? []).map(plain);
  return value.stringValue ?? value.numberValue ?? value.boolValue ?? null;
}
