import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { decodeText, encodeValue } from '../../src/core/encode.ts';

const runs = { numRuns: 2000 };
/** Every Unicode text, with what matters here more often than chance would have it. */
const character = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(' ', '%', ',', '%2C', '%25', '\t', '\r\n', '\0', '\x7f', 'é', '👩‍💻', '"', '\\'),
  },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 3 }) },
);
const text = fc.array(character, { minLength: 1, maxLength: 20 }).map((parts) => parts.join(''));
/** As issuers send claims: JSON, without -0, which JSON cannot tell from 0. */
const structured = fc
  .oneof(
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.dictionary(text, fc.jsonValue(), { minKeys: 1 }),
  )
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown);

/** Contract §4, read byte by byte: not a line in common with the code it judges. */
function decodeByHand(encoded: string): string {
  const bytes: number[] = [];
  for (let i = 0; i < encoded.length; i++) {
    if (encoded[i] === '%') {
      const hex = encoded.slice(i + 1, i + 3);
      assert.match(hex, /^[0-9A-F]{2}$/);
      bytes.push(Number.parseInt(hex, 16));
      i += 2;
    } else bytes.push(encoded.charCodeAt(i));
  }
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

function encode(value: unknown): string {
  const encoded = encodeValue(value);
  assert.ok(encoded !== undefined);
  // What Envoy and every backend leave as it is: visible ASCII and inner spaces (RFC 9110 5.5).
  assert.match(encoded, /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/);
  return encoded;
}

test('decode(encode(text)) = text', () => {
  fc.assert(
    fc.property(text, (value) => {
      const encoded = encode(value);
      assert.ok(!encoded.includes(','));
      assert.equal(decodeText(encoded), value);
      assert.equal(decodeByHand(encoded), value);
    }),
    runs,
  );
});

test('decode(encode(list)) = list', () => {
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 8 }), (list) => {
      assert.deepEqual(encode(list).split(',').map(decodeByHand), list);
    }),
    runs,
  );
});

test('decode(encode(x)) = x for numbers, booleans and objects, alone and in lists', () => {
  fc.assert(
    fc.property(structured, (value) => {
      assert.deepEqual(JSON.parse(decodeByHand(encode(value))), value);
      assert.deepEqual(
        encode([value, value])
          .split(',')
          .map((item) => JSON.parse(decodeByHand(item)) as unknown),
        [value, value],
      );
    }),
    runs,
  );
});

test('what needs no encoding is not encoded, and everything else is', () => {
  fc.assert(
    fc.property(text, (value) => {
      const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value) && !/[%,]/.test(value);
      assert.equal(encode(value) === value, plain);
    }),
    runs,
  );
});

test('texts without a UTF-8 form are never sent', () => {
  fc.assert(
    fc.property(text, text, fc.integer({ min: 0xd800, max: 0xdfff }), (before, after, half) => {
      const broken = `${before} ${String.fromCharCode(half)} ${after}`;
      assert.equal(encodeValue(broken), undefined);
      assert.equal(encodeValue([before, broken, after]), encodeValue([before, after]));
    }),
    runs,
  );
});
