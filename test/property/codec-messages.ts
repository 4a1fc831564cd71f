import * as fc from 'fast-check';
import type { JsonObject } from '../../src/envoy/codec/struct.ts';
import { type Field, Struct, toProtoStruct, wire } from '../unit/envoy/codec/oracle.ts';

/** Messages for the codec: made at random, spelled in other ways that mean the same, and damaged. */

export const NAMESPACE = 'mcp.identity';

export const text = fc.string({ unit: 'grapheme', maxLength: 80 });
export const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
export const token = fc.stringMatching(/^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,30}$/);
const jsonObject = fc.dictionary(fc.oneof(fc.constant('__proto__'), text), fc.jsonValue({ maxDepth: 4 }), {
  maxKeys: 6,
});
export const struct = jsonObject.map((object) => JSON.parse(JSON.stringify(object)) as JsonObject);
const namespace = fc.oneof(fc.constant(NAMESPACE), fc.constant('envoy.lb'), text);
const metadata = fc.array(fc.tuple(namespace, struct), { maxLength: 3 });
const seconds = fc.integer({ min: -(2 ** 40), max: 2 ** 40 });

/** The parts of a CheckRequest that are read, each sent or not. */
export const request = fc.record({
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
export function toFields(from: Request): Field[] {
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
export function scatter(fields: readonly Field[], next: () => number): Field[] {
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
export function tape(numbers: readonly number[]): () => number {
  let at = 0;
  return () => numbers[at++ % numbers.length] ?? 0;
}
export const numbers = fc.array(fc.nat(), { minLength: 1, maxLength: 40 });

const headerFields = fc.array(fc.tuple(token, bytes(80)), { maxLength: 10 });
export const processing = fc.record({
  kind: fc.constantFrom(2, 3, 4, 5, 6, 7),
  headers: headerFields,
  body: bytes(300),
  end: fc.boolean(),
  metadata,
});
type Processing = typeof processing extends fc.Arbitrary<infer T> ? T : never;

export function toProcessingFields({ kind, headers, body, end, metadata: list }: Processing): Field[] {
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

/** Damage done to a message: bytes changed, dropped, doubled, or the end cut off. */
export const damage = fc.array(
  fc.record({ kind: fc.constantFrom('change', 'change', 'drop', 'double', 'cut'), at: fc.nat(), byte: fc.nat(255) }),
  { minLength: 1, maxLength: 4 },
);
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

export function broken(message: Buffer, list: Damage): Buffer {
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
