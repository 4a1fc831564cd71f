import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeStruct, encodeStruct, type JsonObject, type JsonValue } from '../../src/envoy/codec/struct.ts';
import { StructKeys } from '../../src/envoy/codec/struct-key.ts';
import { canonicalJson } from '../../src/policy/resolve.ts';

/** Few names and values, so that equal ones and near misses come up. */
const { value } = fc.letrec<{ value: JsonValue; object: JsonObject }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<JsonValue>(null, true, false, 0, 1, '', 'a', 'b', '1:a', '{', '=a', 'é'),
    fc.array(tie('value'), { maxLength: 3 }),
    tie('object'),
  ),
  object: fc.dictionary(fc.constantFrom('', 'a', 'b', 'c', 'ab', '1', '{', '=', '__proto__'), tie('value'), {
    maxKeys: 8,
  }),
}));
const object = value.filter(
  (made): made is JsonObject => typeof made === 'object' && made !== null && !Array.isArray(made),
);

function shuffled(of: JsonValue, random: () => number): JsonValue {
  if (Array.isArray(of)) return of.map((item) => shuffled(item, random));
  if (typeof of !== 'object' || of === null) return of;
  const made = Object.create(null) as JsonObject;
  const order = Object.keys(of).map((name) => [random(), name] as const);
  for (const [, name] of order.sort(([a], [b]) => a - b)) made[name] = shuffled(of[name] as JsonValue, random);
  return made;
}

/** As above, but lists stay byte by byte: what is in them keeps its order. */
const outsideLists = (of: JsonValue): boolean =>
  Array.isArray(of)
    ? !of.some((item) => typeof item === 'object' && item !== null)
    : typeof of !== 'object' || of === null || Object.values(of).every(outsideLists);

test('the order of members, at every level, does not change the key', () => {
  const keys = new StructKeys();
  fc.assert(
    fc.property(
      object.filter(outsideLists),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      (one, order) => {
        const random = () => order.next().value as number;
        const other = shuffled(one, random) as JsonObject;
        assert.equal(keys.keyOf(encodeStruct(other)), keys.keyOf(encodeStruct(one)));
      },
    ),
  );
});

test('equal keys mean equal values, also of one that has seen many others', () => {
  const keys = new StructKeys();
  const seen = new Map<string, string>();
  fc.assert(
    fc.property(object, (one) => {
      const bytes = encodeStruct(one);
      const [key, meaning] = [keys.keyOf(bytes), canonicalJson(decodeStruct(bytes))];
      assert.equal(seen.get(key) ?? meaning, meaning);
      seen.set(key, meaning);
    }),
    { numRuns: 2_000 },
  );
  assert.ok(seen.size > 200);
});

test('bytes that are damaged have a key too, and it is not that of another value', () => {
  const keys = new StructKeys();
  const meaningOf = (bytes: Buffer): string => {
    try {
      return canonicalJson(decodeStruct(bytes));
    } catch {
      return 'no struct';
    }
  };
  const seen = new Map<string, string>();
  fc.assert(
    fc.property(object, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.boolean(), (one, place, byte, twice) => {
      const intact = encodeStruct(one);
      const damaged = twice ? Buffer.concat([intact, intact]) : Buffer.from(intact);
      if (!twice && damaged.length > 0) damaged[place % damaged.length] = byte;
      for (const bytes of [intact, damaged]) {
        const [key, meaning] = [keys.keyOf(bytes), meaningOf(bytes)];
        assert.equal(seen.get(key) ?? meaning, meaning);
        seen.set(key, meaning);
      }
    }),
    { numRuns: 3_000 },
  );
});

test('of two members with one name the last counts, so their order makes two keys', () => {
  const keys = new StructKeys();
  const [a, b] = [encodeStruct({ name: 'a' }), encodeStruct({ name: 'b' })];
  assert.notEqual(keys.keyOf(Buffer.concat([a, b])), keys.keyOf(Buffer.concat([b, a])));
});

test('a number is never given to another text, not even after all were forgotten', () => {
  const keys = new StructKeys();
  const seen = new Set<string>();
  const count = 200; // of 100,000 characters each: more than is remembered
  for (let i = 0; i < count; i++) seen.add(keys.keyOf(encodeStruct({ [`name-${i}`]: 'x'.repeat(100_000) })));
  assert.equal(seen.size, count);
});
