import { checkHeaderName, estimateHeaders, type HeaderPair, writeAuthzHeader } from './header-option.ts';
import { writeHttpStatus } from './http-status.ts';
import { WireWriter } from './wire-writer.ts';

/** google.rpc.Code; Envoy takes anything but 0 as a denial. */
const PERMISSION_DENIED = 7;
const UNAUTHENTICATED = 16;

export interface OkAnswer {
  /** Each replaces every copy of its name; of equal names the last stays. */
  readonly set: readonly HeaderPair[];
  /** Must not name a header that is set: ext_authz removes last. */
  readonly remove: readonly string[];
  /** A Struct (see encodeStruct) for `envoy.filters.http.ext_authz` in the request's dynamic metadata. */
  readonly dynamicMetadata?: Buffer;
}

export interface DeniedAnswer {
  /** HTTP status of the client's answer, 200 to 599. */
  readonly status: number;
  /** Several values of one name (WWW-Authenticate, Set-Cookie) all reach the client, in this order. */
  readonly headers: readonly HeaderPair[];
  readonly body: string;
}

/**
 * A CheckResponse that lets the request pass.
 *
 * @throws EncodeError when a header cannot be carried; the caller's answer is then a denial
 */
export function encodeOk({ set, remove, dynamicMetadata }: OkAnswer): Buffer {
  const writer = new WireWriter(32 + estimateHeaders(set, remove) + (dynamicMetadata?.length ?? 0));
  if (dynamicMetadata !== undefined) writer.bytes(4, dynamicMetadata);
  const ok = writer.mark();
  for (let i = remove.length - 1; i >= 0; i--) {
    const name = remove[i] as string;
    checkHeaderName(name);
    writer.latin1(5, name);
  }
  for (let i = set.length - 1; i >= 0; i--) writeAuthzHeader(writer, 2, set[i] as HeaderPair);
  writer.message(3, ok);
  // google.rpc.Status with code OK, which proto3 does not write.
  writer.message(1, writer.mark());
  return writer.finish();
}

/**
 * A CheckResponse that makes Envoy answer the client itself.
 *
 * @throws EncodeError when a header cannot be carried or the status is none that a client may get
 */
export function encodeDenied({ status, headers, body }: DeniedAnswer): Buffer {
  const writer = new WireWriter(48 + estimateHeaders(headers) + body.length);
  const denied = writer.mark();
  if (body !== '') writer.utf8(3, body);
  for (let i = headers.length - 1; i >= 0; i--) writeAuthzHeader(writer, 2, headers[i] as HeaderPair);
  writeHttpStatus(writer, 1, status);
  writer.message(2, denied);
  const code = writer.mark();
  writer.uint(1, status === 401 ? UNAUTHENTICATED : PERMISSION_DENIED);
  writer.message(1, code);
  return writer.finish();
}
