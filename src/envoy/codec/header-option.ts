import { valueFault } from '../../core/header-edits.ts';
import { EncodeError } from './wire.ts';
import type { WireWriter } from './wire-writer.ts';

/** Name and value; the value is latin-1 text, one character per byte. */
export type HeaderPair = readonly [name: string, value: string];

/** RFC 9110 5.6.2 token, and the pseudo-headers that Envoy lets a filter set. */
const NAME = /^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** envoy.config.core.v3.HeaderValueOption.HeaderAppendAction, always written out: the default differs by place. */
const APPEND_IF_EXISTS_OR_ADD = 0;
const OVERWRITE_IF_EXISTS_OR_ADD = 2;

/**
 * Writes a HeaderValueOption for ext_authz, which reads `value` only. That is a proto3 string: bytes above 0x7f have
 * to be UTF-8, or Envoy drops the whole message.
 *
 * @throws EncodeError; in a denial Envoy would write CR LF through to the client (covered by test/e2e/envoy-facts.test.ts)
 */
export function writeAuthzHeader(writer: WireWriter, field: number, [name, value]: HeaderPair): void {
  checkHeaderName(name);
  const fault = valueFault(value);
  if (fault === 'forbidden') throw new EncodeError(`header ${name} has a value with control or wide characters`);
  if (fault === 'not_utf8')
    throw new EncodeError(`header ${name} has a value that ext_authz cannot carry: it is not UTF-8`);
  const option = writer.mark();
  writer.uint(3, OVERWRITE_IF_EXISTS_OR_ADD);
  const header = writer.mark();
  writer.latin1(2, value);
  writer.latin1(1, name);
  writer.message(1, header);
  writer.message(field, option);
}

/**
 * Writes a HeaderValueOption for ext_proc, which reads `raw_value` and, in Envoy 1.40, the deprecated `append`
 * instead of `append_action`; both are written and agree.
 *
 * @param append true keeps values of the same name that are there already
 * @throws EncodeError
 */
export function writeProcHeader(writer: WireWriter, field: number, [name, value]: HeaderPair, append: boolean): void {
  checkHeaderName(name);
  if (valueFault(value) === 'forbidden')
    throw new EncodeError(`header ${name} has a value with control or wide characters`);
  const option = writer.mark();
  writer.uint(3, append ? APPEND_IF_EXISTS_OR_ADD : OVERWRITE_IF_EXISTS_OR_ADD);
  if (append) {
    const wrapper = writer.mark();
    writer.uint(1, 1);
    writer.message(2, wrapper);
  }
  const header = writer.mark();
  writer.latin1(3, value);
  writer.latin1(1, name);
  writer.message(1, header);
  writer.message(field, option);
}

/** @throws EncodeError */
export function checkHeaderName(name: string): void {
  if (!NAME.test(name)) throw new EncodeError('a header name is not a token');
}

/** Bytes that the pairs and names take in a message, roughly, so that the writer seldom grows. */
export function estimateHeaders(set: readonly HeaderPair[], remove: readonly string[] = []): number {
  let bytes = 0;
  for (const [name, value] of set) bytes += name.length + value.length + 20;
  for (const name of remove) bytes += name.length + 3;
  return bytes;
}
