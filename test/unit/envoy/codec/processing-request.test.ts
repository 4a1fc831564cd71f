import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeProcessingRequest } from '../../../../src/envoy/codec/processing-request.ts';
import { decodeStruct } from '../../../../src/envoy/codec/struct.ts';
import { type Field, ProcessingRequest, toProtoStruct, wire } from './oracle.ts';

const NAMESPACE = 'envoy.filters.http.ext_authz';
const decode = (fields: readonly Field[]) => decodeProcessingRequest(wire(fields), NAMESPACE);
const nothing = { kind: 'unknown', headers: [], endOfStream: false, body: Buffer.alloc(0), dynamicMetadata: undefined };

const headers = {
  headers: [
    { key: ':status', raw_value: Buffer.from('200') },
    { key: 'X-A', raw_value: Buffer.from('\xe9', 'latin1') },
  ],
};
const flat = [':status', '200', 'x-a', '\xe9'];

for (const kind of ['request_headers', 'response_headers'] as const) {
  test(kind, () => {
    const bytes = ProcessingRequest.serialize({ [kind]: { headers, end_of_stream: true } });
    assert.deepEqual(decodeProcessingRequest(bytes, NAMESPACE), { ...nothing, kind, headers: flat, endOfStream: true });
  });
}

for (const kind of ['request_body', 'response_body'] as const) {
  test(kind, () => {
    const bytes = ProcessingRequest.serialize({ [kind]: { body: Buffer.from('{}'), end_of_stream: true } });
    assert.deepEqual(decodeProcessingRequest(bytes, NAMESPACE), {
      ...nothing,
      kind,
      body: Buffer.from('{}'),
      endOfStream: true,
    });
    assert.deepEqual(decodeProcessingRequest(ProcessingRequest.serialize({ [kind]: {} }), NAMESPACE), {
      ...nothing,
      kind,
    });
  });
}

for (const kind of ['request_trailers', 'response_trailers'] as const) {
  test(kind, () => {
    const bytes = ProcessingRequest.serialize({ [kind]: { trailers: headers } });
    assert.deepEqual(decodeProcessingRequest(bytes, NAMESPACE), { ...nothing, kind, headers: flat });
  });
}

test('the dynamic metadata of the namespace, not of its neighbours', () => {
  const bytes = ProcessingRequest.serialize({
    request_headers: {},
    metadata_context: {
      filter_metadata: { [NAMESPACE]: toProtoStruct({ sealed: 'abc' }), other: toProtoStruct({ x: 1 }) },
    },
    attributes: { [NAMESPACE]: toProtoStruct({ from: 'the wrong place' }) },
    observability_mode: true,
  });
  const { dynamicMetadata } = decodeProcessingRequest(bytes, NAMESPACE);
  assert.deepEqual({ ...decodeStruct(dynamicMetadata as Buffer) }, { sealed: 'abc' });
  assert.equal(decodeProcessingRequest(bytes, 'absent').dynamicMetadata, undefined);
});

test('a kind of a later Envoy is unknown, not an error', () => {
  assert.deepEqual(decode([]), nothing);
  assert.deepEqual(
    decode([
      [11, [[1, 2]]],
      [20, [[1, 'new']]],
    ]),
    nothing,
  );
});

test('pieces of one kind merge, two kinds are refused', () => {
  assert.deepEqual(
    decode([
      [
        2,
        [
          [
            1,
            [
              [
                1,
                [
                  [1, 'a'],
                  [3, '1'],
                ],
              ],
            ],
          ],
        ],
      ],
      [
        2,
        [
          [1, [[1, [[1, 'b']]]]],
          [3, 1],
        ],
      ],
    ]),
    {
      ...nothing,
      kind: 'request_headers',
      headers: ['a', '1', 'b', ''],
      endOfStream: true,
    },
  );
  assert.throws(
    () =>
      decode([
        [2, []],
        [3, []],
      ]),
    { name: 'DecodeError', message: /^message is of two kinds/ },
  );
});

test('a body under another wire type is refused', () => {
  assert.throws(() => decode([[4, [[1, 1]]]]), { name: 'DecodeError', message: /^wrong wire type/ });
});
