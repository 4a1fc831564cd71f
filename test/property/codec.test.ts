import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeCheckRequest } from '../../src/envoy/codec/check-request.ts';
import { encodeDenied, encodeOk } from '../../src/envoy/codec/check-response.ts';
import type { HeaderPair } from '../../src/envoy/codec/header-option.ts';
import { decodeProcessingRequest } from '../../src/envoy/codec/processing-request.ts';
import { continueBody, continueHeaders, immediate } from '../../src/envoy/codec/processing-response.ts';
import { decodeStruct, encodeStruct, type JsonObject } from '../../src/envoy/codec/struct.ts';
import { DecodeError } from '../../src/envoy/codec/wire.ts';
import {
  CheckRequest,
  CheckResponse,
  type Field,
  ProcessingRequest,
  ProcessingResponse,
  Struct,
  toProtoStruct,
  wire,
} from '../unit/envoy/codec/oracle.ts';
import { expectedCheck, expectedProcessing, expectedStruct } from './codec-views.ts';

const NAMESPACE = 'mcp.identity';

const text = fc.string({ unit: 'grapheme', maxLength: 80 });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const token = fc.stringMatching(/^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,30}$/);
const jsonObject = fc.dictionary(fc.oneof(fc.constant('__proto__'), text), fc.jsonValue({ maxDepth: 4 }), {
  maxKeys: 6,
});
const struct = jsonObject.map((object) => JSON.parse(JSON.stringify(object)) as JsonObject);
const namespace = fc.oneof(fc.constant(NAMESPACE), fc.constant('envoy.lb'), text);
const metadata = fc.array(fc.tuple(namespace, struct), { maxLength: 3 });
const seconds = fc.integer({ min: -(2 ** 40), max: 2 ** 40 });

/** The parts of a CheckRequest that are read, each sent or not. */
const request = fc.record({
  texts: fc.array(fc.tuple(fc.constantFrom(1, 2, 4, 5, 6, 10, 11), text), { maxLength: 8 }),
  size: fc.option(fc.maxSafeInteger()),
  seconds: fc.option(seconds),
  body: fc.option(bytes(600)),
  headers: fc.option(fc.array(fc.tuple(token, bytes(120)), { maxLength: 25 })),
  address: fc.option(fc.tuple(text, fc.nat(0xffff))),
  principal: text,
  certificate: text,
  route: metadata,
  other: metadata,
});
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

const sent = (number: number, value: Field[1] | null): Field[] => (value === null ? [] : [[number, value]]);
const headerMap = (headers: Request['headers']): Field[] | null =>
  headers?.map(
    ([name, value]): Field => [
      1,
      [
        [1, name],
        [3, value],
      ],
    ],
  ) ?? null;
const entries = (list: Request['route']): Field[] =>
  list.map(
    ([key, object]): Field => [
      1,
      [
        [1, key],
        [2, Buffer.from(Struct.serialize(toProtoStruct(object)))],
      ],
    ],
  );

/** Sub-messages are lists, so that `scatter` can take them apart; list items and map entries are whole. */
function toFields(from: Request): Field[] {
  const whole = (fields: Field[] | null): Field[] | null =>
    fields?.map(([number, value]): Field => [number, wire(value as Field[])]) ?? null;
  const [address, port] = from.address ?? [null, null];
  return [
    [
      1,
      [
        [
          1,
          [
            ...sent(
              1,
              address === null
                ? null
                : [
                    [
                      1,
                      [
                        [2, address],
                        [3, port],
                      ],
                    ],
                  ],
            ),
            [4, from.principal],
            [5, from.certificate],
          ],
        ],
        [2, [[4, 'the other side']]],
        [
          4,
          [
            ...sent(
              1,
              from.seconds === null
                ? null
                : [
                    [1, from.seconds],
                    [2, 7],
                  ],
            ),
            [
              2,
              [
                ...from.texts,
                ...sent(9, from.size),
                ...sent(12, from.body),
                ...sent(13, whole(headerMap(from.headers))),
              ],
            ],
          ],
        ],
        [
          10,
          [
            [1, 'context'],
            [2, 'extension'],
          ],
        ],
        [11, whole(entries(from.other)) ?? []],
        [13, whole(entries(from.route)) ?? []],
      ],
    ],
  ];
}

/** Another encoding of the same message: sub-messages in several pieces, fields of different numbers mixed, unknown fields added. */
function scatter(fields: readonly Field[], next: () => number): Field[] {
  const queues = new Map<number, Field[]>();
  const add = (field: Field) => queues.set(field[0], [...(queues.get(field[0]) ?? []), field]);
  for (const [number, value] of fields) {
    if (!Array.isArray(value)) {
      add([number, value]);
      continue;
    }
    const inner = scatter(value as Field[], next);
    const cuts = [next() % (inner.length + 1), next() % (inner.length + 1)].toSorted((a, b) => a - b);
    for (const piece of [inner.slice(0, cuts[0]), inner.slice(cuts[0], cuts[1]), inner.slice(cuts[1])])
      add([number, piece]);
  }
  add([500, 'unknown']);
  add([501, next()]);
  const mixed: Field[] = [];
  while (queues.size > 0) {
    const numbers = [...queues.keys()];
    const number = numbers[next() % numbers.length] as number;
    const queue = queues.get(number) as Field[];
    mixed.push(queue.shift() as Field);
    if (queue.length === 0) queues.delete(number);
  }
  return mixed;
}

/** An endless tape of numbers from a finite list, so that failures shrink. */
function tape(numbers: readonly number[]): () => number {
  let at = 0;
  return () => numbers[at++ % numbers.length] ?? 0;
}
const numbers = fc.array(fc.nat(), { minLength: 1, maxLength: 40 });

test('requests that protobufjs writes are read as they were meant', () => {
  fc.assert(
    fc.property(request, (from) => {
      const reordered = CheckRequest.serialize(CheckRequest.deserialize(wire(toFields(from))));
      const expected = expectedCheck(wire(toFields(from)), NAMESPACE);
      const { routeMetadata, ...message } = decodeCheckRequest(reordered, NAMESPACE);
      const { routeMetadata: expectedRoute, ...rest } = expected;
      assert.deepEqual(message, rest);
      assert.equal(routeMetadata === undefined, expectedRoute === undefined);
      const object = from.route.findLast(([key]) => key === NAMESPACE)?.[1];
      if (routeMetadata !== undefined) assert.deepEqual(structuredClone(decodeStruct(routeMetadata)), object);
    }),
    { numRuns: 300 },
  );
});

test('order, pieces and unknown fields change nothing', () => {
  fc.assert(
    fc.property(request, numbers, (from, list) => {
      const straight = decodeCheckRequest(wire(toFields(from)), NAMESPACE);
      const scattered = decodeCheckRequest(wire(scatter(toFields(from), tape(list))), NAMESPACE);
      assert.deepEqual(scattered, straight);
    }),
    { numRuns: 300 },
  );
});

/** Damage done to a message: bytes changed, dropped, doubled, or the end cut off. */
const damage = fc.array(
  fc.record({ kind: fc.constantFrom('change', 'change', 'drop', 'double', 'cut'), at: fc.nat(), byte: fc.nat(255) }),
  { minLength: 1, maxLength: 4 },
);
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

function broken(message: Buffer, list: Damage): Buffer {
  let result = Buffer.from(message);
  for (const { kind, at, byte } of list) {
    const place = result.length === 0 ? 0 : at % result.length;
    const width = kind === 'drop' || kind === 'double' ? 1 + (byte % 8) : 0;
    if (kind === 'change' && result.length > 0) result[place] = byte;
    if (kind === 'drop') result = Buffer.concat([result.subarray(0, place), result.subarray(place + width)]);
    if (kind === 'double') result = Buffer.concat([result.subarray(0, place + width), result.subarray(place)]);
    if (kind === 'cut') result = Buffer.from(result.subarray(0, place));
  }
  return result;
}

/** Reads, or refuses with a DecodeError; whatever is read must be what the oracle reads. */
function agrees<T>(input: Buffer, read: (input: Buffer) => T, oracle: (input: Buffer) => unknown): boolean {
  let message: T;
  try {
    message = read(input);
  } catch (error) {
    assert.ok(error instanceof DecodeError, `not a DecodeError: ${error}`);
    return false;
  }
  assert.partialDeepStrictEqual(message, oracle(input));
  return true;
}

test('damaged requests are refused or read as protobuf reads them', () => {
  let accepted = 0;
  const check = (input: Buffer) => {
    if (
      agrees(
        input,
        (message) => decodeCheckRequest(message, NAMESPACE),
        (message) => expectedCheck(message, NAMESPACE),
      )
    )
      accepted++;
  };
  fc.assert(
    fc.property(request, damage, numbers, (from, list, tapeNumbers) => {
      check(broken(wire(toFields(from)), list));
      check(broken(wire(scatter(toFields(from), tape(tapeNumbers))), list));
    }),
    { numRuns: 1500 },
  );
  assert.ok(accepted > 100, `only ${accepted} messages survived the damage`);
});

test('arbitrary bytes are refused or read as protobuf reads them', () => {
  fc.assert(
    fc.property(bytes(60), (input) => {
      agrees(
        input,
        (message) => decodeCheckRequest(message, NAMESPACE),
        (message) => expectedCheck(message, NAMESPACE),
      );
      agrees(
        input,
        (message) => decodeProcessingRequest(message, NAMESPACE),
        (message) => expectedProcessing(message, NAMESPACE),
      );
      agrees(input, (message) => structuredClone(decodeStruct(message)), expectedStruct);
    }),
    { numRuns: 2000 },
  );
});

const headerFields = fc.array(fc.tuple(token, bytes(80)), { maxLength: 10 });
const processing = fc.record({
  kind: fc.constantFrom(2, 3, 4, 5, 6, 7),
  headers: headerFields,
  body: bytes(300),
  end: fc.boolean(),
  metadata,
});
type Processing = typeof processing extends fc.Arbitrary<infer T> ? T : never;

function toProcessingFields({ kind, headers, body, end, metadata: list }: Processing): Field[] {
  const content: Field[] =
    kind === 4 || kind === 5
      ? [
          [1, body],
          [2, end ? 1 : 0],
        ]
      : [[1, wire(headerMap(headers) ?? [])], ...(kind < 4 ? sent(3, end ? 1 : 0) : [])];
  return [
    [kind, content],
    [8, entries(list).map(([number, value]): Field => [number, wire(value as Field[])])],
  ];
}

test('ext_proc messages, whole, scattered and damaged', () => {
  fc.assert(
    fc.property(processing, numbers, damage, (from, list, harm) => {
      const read = (input: Buffer) => decodeProcessingRequest(input, NAMESPACE);
      const oracle = (input: Buffer) => expectedProcessing(input, NAMESPACE);
      const fields = toProcessingFields(from);
      const straight = read(wire(fields));
      assert.deepEqual(straight, oracle(wire(fields)));
      assert.deepEqual(read(wire(scatter(fields, tape(list)))), straight);
      const rewritten = ProcessingRequest.serialize(ProcessingRequest.deserialize(wire(fields)));
      const { dynamicMetadata, ...rest } = read(rewritten);
      assert.partialDeepStrictEqual(straight, rest);
      assert.equal(dynamicMetadata === undefined, straight.dynamicMetadata === undefined);
      agrees(broken(wire(fields), harm), read, oracle);
    }),
    { numRuns: 500 },
  );
});

test('structs: there and back, and damaged', () => {
  fc.assert(
    fc.property(struct, damage, (object, harm) => {
      const ours = encodeStruct(object);
      assert.deepEqual(structuredClone(decodeStruct(ours)), object);
      assert.deepEqual(expectedStruct(ours), object);
      assert.deepEqual(structuredClone(decodeStruct(Struct.serialize(toProtoStruct(object)))), object);
      agrees(broken(ours, harm), (input) => structuredClone(decodeStruct(input)), expectedStruct);
    }),
    { numRuns: 500 },
  );
});

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
      const encoded = encodeDenied({ status: Number(code), headers: headers.map(asLatin1), body });
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
