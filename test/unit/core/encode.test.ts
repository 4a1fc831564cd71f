import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeText, encodeValue } from '../../../src/core/encode.ts';

describe('encodeValue', () => {
  for (const [value, expected] of [
    ['alice', 'alice'],
    ['alice@example.com', 'alice@example.com'],
    ['Alice Liddell', 'Alice Liddell'],
    ['!#$&\'()*+-./:;<=>?@[\\]^_`{|}~"', '!#$&\'()*+-./:;<=>?@[\\]^_`{|}~"'],
    ['50%', '50%25'],
    ['%2C', '%252C'],
    ['a,b', 'a%2Cb'],
    [' a b ', '%20a b%20'],
    ['  a', '%20%20a'],
    ['a  b', 'a  b'],
    [' ', '%20'],
    ['   ', '%20%20%20'],
    ['\ta', '%09a'],
    ['a\r\nX-Evil: 1', 'a%0D%0AX-Evil: 1'],
    ['\0\x7f', '%00%7F'],
    ['Zoë', 'Zo%C3%AB'],
    ['日本', '%E6%97%A5%E6%9C%AC'],
    ['👩‍💻', '%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB'],
    ['\u{feff}', '%EF%BB%BF'],
    [0, '0'],
    [-1.5, '-1.5'],
    [1e21, '1e+21'],
    [true, 'true'],
    [false, 'false'],
    [['a', 'b c', 'd,e', 'f%'], 'a,b c,d%2Ce,f%25'],
    [[' a ', 'b'], '%20a%20,b'],
    [['a', null, 'b'], 'a,b'],
    [['a', '', 'b'], 'a,,b'],
    [[1, true, { a: 1 }], '1,true,{"a":1}'],
    [[['a', 'b'], 'c'], '["a"%2C"b"],c'],
    [{ a: [1, 2], b: 'ü' }, '{"a":[1%2C2]%2C"b":"%C3%BC"}'],
    [{}, undefined],
  ] as const) {
    it(`${JSON.stringify(value)} → ${expected}`, () => assert.equal(encodeValue(value), expected));
  }

  for (const [what, value] of [
    ['undefined', undefined],
    ['null', null],
    ['the empty text', ''],
    ['the empty list', []],
    ['a list of nulls', [null, null]],
    ['a list of one empty text', ['']],
    ['half a character', 'a\ud800'],
  ] as const) {
    it(`${what}: no header`, () => assert.equal(encodeValue(value), undefined));
  }

  it('half a character in a list takes its item out, not the list', () => {
    assert.equal(encodeValue(['a', '\udc00', 'b']), 'a,b');
  });
});

describe('decodeText', () => {
  it('gives back what a comma-separated item was', () => {
    const items = [' a ', '50%', 'x,y', 'Zoë', 'a b'];
    assert.deepEqual(encodeValue(items)?.split(',').map(decodeText), items);
  });
});
