import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { encodeDenied, encodeOk } from '../../src/envoy/codec/check-response.ts';
import type { HeaderPair } from '../../src/envoy/codec/header-option.ts';
import { continueBody, continueHeaders, immediate } from '../../src/envoy/codec/processing-response.ts';
import { encodeStruct } from '../../src/envoy/codec/struct.ts';
import { CheckResponse, ProcessingResponse, toProtoStruct } from '../unit/envoy/codec/oracle.ts';
import { bytes, struct, text, token } from './codec-messages.ts';

const utf8Pair = fc.tuple(token, fc.stringMatching(/^[\t\x20-\x7e\u00a0-\ud7ff]{0,60}$/));
const bytesPair = fc.tuple(token, fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,60}$/));
const asLatin1 = ([name, value]: HeaderPair): HeaderPair => [name, Buffer.from(value).toString('latin1')];
const authzHeader = ([key, value]: HeaderPair) => ({
  header: { key, value },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
});
const status = fc.constantFrom(
  [200, 'OK'],
  [302, 'Found'],
  [401, 'Unauthorized'],
  [403, 'Forbidden'],
  [503, 'ServiceUnavailable'],
);
const listed = <T>(name: string, list: readonly T[]) => (list.length === 0 ? {} : { [name]: list });

test('protobufjs reads our CheckResponses as they were meant', () => {
  fc.assert(
    fc.property(
      fc.array(utf8Pair, { maxLength: 8 }),
      fc.array(token, { maxLength: 8 }),
      fc.option(struct),
      (set, remove, object) => {
        const answer = { set: set.map(asLatin1), remove };
        const encoded = encodeOk(object === null ? answer : { ...answer, dynamicMetadata: encodeStruct(object) });
        assert.deepEqual(CheckResponse.deserialize(encoded), {
          status: {},
          ok_response: { ...listed('headers', set.map(authzHeader)), ...listed('headers_to_remove', remove) },
          ...(object === null ? {} : { dynamic_metadata: toProtoStruct(object) }),
        });
      },
    ),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.array(utf8Pair, { maxLength: 8 }), text, status, (headers, body, [code, name]) => {
      const encoded = encodeDenied({ status: code, headers: headers.map(asLatin1), body });
      assert.deepEqual(CheckResponse.deserialize(encoded), {
        status: { code: code === 401 ? 16 : 7 },
        denied_response: {
          status: { code: name },
          ...listed('headers', headers.map(authzHeader)),
          ...(body === '' ? {} : { body }),
        },
      });
    }),
    { numRuns: 300 },
  );
});

function procHeaders(pairs: readonly HeaderPair[]): object[] {
  return pairs.map(([key, value], index) => {
    const header = {
      key,
      ...(value === '' ? { raw_value: Buffer.alloc(0) } : { raw_value: Buffer.from(value, 'latin1') }),
    };
    return pairs.findIndex(([other]) => other === key) === index
      ? { header, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' }
      : { header, append: { value: true }, append_action: 'APPEND_IF_EXISTS_OR_ADD' };
  });
}

test('protobufjs reads our ProcessingResponses as they were meant', () => {
  const pairs = fc.array(fc.oneof(bytesPair, fc.constant<HeaderPair>(['set-cookie', 'a=1'])), { maxLength: 8 });
  fc.assert(
    fc.property(pairs, fc.array(token, { maxLength: 8 }), fc.option(bytes(2000)), text, (set, remove, body, answer) => {
      const mutation = { ...listed('set_headers', procHeaders(set)), ...listed('remove_headers', remove) };
      const response = Object.keys(mutation).length === 0 ? {} : { header_mutation: mutation };
      const deserialize = (encoded: Buffer) => ProcessingResponse.deserialize(encoded);
      assert.deepEqual(deserialize(continueHeaders('response_headers', { set, remove })), {
        response_headers: { response },
      });
      const replaced = body === null ? response : { ...response, body_mutation: { body } };
      const changes = body === null ? { set, remove } : { set, remove, body };
      assert.deepEqual(deserialize(continueBody('request_body', changes)), { request_body: { response: replaced } });
      assert.deepEqual(deserialize(immediate({ status: 404, headers: set, body: answer })), {
        immediate_response: {
          status: { code: 'NotFound' },
          ...(set.length === 0 ? {} : { headers: { set_headers: procHeaders(set) } }),
          ...(answer === '' ? {} : { body: Buffer.from(answer) }),
        },
      });
    }),
    { numRuns: 300 },
  );
});
