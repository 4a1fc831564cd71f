import { checkHeaderName, estimateHeaders, type HeaderPair, writeProcHeader } from './header-option.ts';
import { writeHttpStatus } from './http-status.ts';
import type { ProcessingKind } from './processing-request.ts';
import { WireWriter } from './wire-writer.ts';

/** Field numbers of the oneof `response` of an envoy.service.ext_proc.v3.ProcessingResponse. */
const FIELD = {
  request_headers: 1,
  response_headers: 2,
  request_body: 3,
  response_body: 4,
  request_trailers: 5,
  response_trailers: 6,
} as const satisfies Record<ProcessingKind, number>;
const IMMEDIATE_RESPONSE = 7;
const DYNAMIC_METADATA = 8;
const MODE_OVERRIDE = 9;

const HEADER_MODES = { default: 0, send: 1, skip: 2 } as const;
const BODY_MODES = { none: 0, streamed: 1, buffered: 2, buffered_partial: 3 } as const;

/**
 * envoy.extensions.filters.http.ext_proc.v3.ProcessingMode for the rest of this request. What is left out is
 * `default` (headers are sent, trailers are not) or `none`, not what the filter's configuration says.
 */
export interface ModeOverride {
  readonly responseHeaders?: keyof typeof HEADER_MODES;
  readonly requestBody?: keyof typeof BODY_MODES;
  readonly responseBody?: keyof typeof BODY_MODES;
  readonly requestTrailers?: keyof typeof HEADER_MODES;
  readonly responseTrailers?: keyof typeof HEADER_MODES;
}

export interface HeaderChanges {
  /** The first of a name replaces what is there, further ones are added to it. */
  readonly set?: readonly HeaderPair[];
  /** Applied before `set`. */
  readonly remove?: readonly string[];
  /** A Struct (see encodeStruct) of namespaces, each with a Struct. */
  readonly dynamicMetadata?: Buffer;
}

export interface ImmediateAnswer {
  /** HTTP status of the client's answer, 200 to 599. */
  readonly status: number;
  /** Several values of one name (WWW-Authenticate, Set-Cookie) all reach the client, in this order. */
  readonly headers: readonly HeaderPair[];
  readonly body: string;
  /** One word for Envoy's response code details, which access logs print. */
  readonly details?: string;
}

/** Goes on after headers. @throws EncodeError when a header cannot be carried */
export function continueHeaders(
  kind: 'request_headers' | 'response_headers',
  changes: HeaderChanges & { readonly modeOverride?: ModeOverride } = {},
): Buffer {
  const writer = startWriter(changes, 0);
  if (changes.modeOverride !== undefined) writeModeOverride(writer, changes.modeOverride);
  writeCommonResponse(writer, FIELD[kind], changes, undefined);
  return writer.finish();
}

/**
 * Goes on after a body; with `body` replaces it. Envoy answers 500 when the new length differs from `content-length`,
 * so the caller sets that header along with it.
 *
 * @throws EncodeError when a header cannot be carried
 */
export function continueBody(
  kind: 'request_body' | 'response_body',
  changes: HeaderChanges & { readonly body?: Buffer } = {},
): Buffer {
  const writer = startWriter(changes, changes.body?.length ?? 0);
  writeCommonResponse(writer, FIELD[kind], changes, changes.body);
  return writer.finish();
}

/** Goes on after trailers, unchanged. */
export function continueTrailers(kind: 'request_trailers' | 'response_trailers'): Buffer {
  const writer = new WireWriter(2);
  writer.message(FIELD[kind], writer.mark());
  return writer.finish();
}

/**
 * Makes Envoy answer the client itself.
 *
 * @throws EncodeError when a header cannot be carried or the status is none that a client may get
 */
export function immediate({ status, headers, body, details = '' }: ImmediateAnswer): Buffer {
  const writer = new WireWriter(48 + estimateHeaders(headers) + body.length + details.length);
  const answer = writer.mark();
  if (details !== '') writer.utf8(5, details);
  if (body !== '') writer.utf8(3, body);
  writeMutation(writer, 2, headers, []);
  writeHttpStatus(writer, 1, status);
  writer.message(IMMEDIATE_RESPONSE, answer);
  return writer.finish();
}

function startWriter({ set = [], remove = [], dynamicMetadata }: HeaderChanges, body: number): WireWriter {
  const writer = new WireWriter(48 + estimateHeaders(set, remove) + body + (dynamicMetadata?.length ?? 0));
  if (dynamicMetadata !== undefined) writer.bytes(DYNAMIC_METADATA, dynamicMetadata);
  return writer;
}

/** The CommonResponse inside a HeadersResponse or BodyResponse; its status CONTINUE is the default. */
function writeCommonResponse(
  writer: WireWriter,
  field: number,
  { set = [], remove = [] }: HeaderChanges,
  body: Buffer | undefined,
): void {
  const outer = writer.mark();
  const common = writer.mark();
  if (body !== undefined) {
    const mutation = writer.mark();
    writer.bytes(1, body);
    writer.message(3, mutation);
  }
  writeMutation(writer, 2, set, remove);
  writer.message(1, common);
  writer.message(field, outer);
}

function writeMutation(writer: WireWriter, field: number, set: readonly HeaderPair[], remove: readonly string[]): void {
  if (set.length === 0 && remove.length === 0) return;
  const mutation = writer.mark();
  for (let i = remove.length - 1; i >= 0; i--) {
    const name = remove[i] as string;
    checkHeaderName(name);
    writer.latin1(2, name);
  }
  for (let i = set.length - 1; i >= 0; i--) {
    const pair = set[i] as HeaderPair;
    writeProcHeader(writer, 1, pair, isRepeated(set, i));
  }
  writer.message(field, mutation);
}

/** Whether an earlier pair has the name of the one at `index`. */
function isRepeated(set: readonly HeaderPair[], index: number): boolean {
  const name = set[index]?.[0];
  for (let i = 0; i < index; i++) if (set[i]?.[0] === name) return true;
  return false;
}

function writeModeOverride(writer: WireWriter, mode: ModeOverride): void {
  const mark = writer.mark();
  writer.uint(6, HEADER_MODES[mode.responseTrailers ?? 'default']);
  writer.uint(5, HEADER_MODES[mode.requestTrailers ?? 'default']);
  writer.uint(4, BODY_MODES[mode.responseBody ?? 'none']);
  writer.uint(3, BODY_MODES[mode.requestBody ?? 'none']);
  writer.uint(2, HEADER_MODES[mode.responseHeaders ?? 'default']);
  writer.message(MODE_OVERRIDE, mark);
}
