import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { JsonScanner } from '../../../src/mcp/json-scan.ts';

/** `ok` when `text` is one JSON text for the scanner, else what it complains about. */
function read(text: string, maxDepth?: number): string {
  const json = new JsonScanner(Buffer.from(text), maxDepth);
  const end = json.skipValue(json.skipSpace(0), 0);
  if (end < 0) return `${json.fault} at ${json.faultAt}`;
  return json.skipSpace(end) === json.bytes.length ? 'ok' : 'more';
}

describe('RFC 8259 grammar', () => {
  const good = [
    '0',
    '-0',
    '10.25e-7',
    '1E400',
    ' \t\r\n"x" \n',
    '"\u007f\u2028é😀"',
    String.raw`"\"\\\/\b\f\n\r\tA\ud800"`,
    '[]',
    '[1,[ ],{ }]',
    '{"a" : null , "" : [true,false]}',
  ];
  for (const text of good) {
    test(`takes ${JSON.stringify(text)}`, () => {
      JSON.parse(text);
      assert.equal(read(text), 'ok');
    });
  }

  const bad = [
    '',
    ' ',
    '\ufeff{}',
    '\u00a0{}',
    '\f{}',
    '[1\v]',
    '01',
    '-',
    '+1',
    '.5',
    '1.',
    '1.e1',
    '1e',
    '1e+',
    '0x1',
    'NaN',
    'Infinity',
    'nul',
    'nulL',
    'True',
    '"',
    '"a',
    '"\u0000"',
    '"\u001f"',
    String.raw`"\x"`,
    String.raw`"\u12"`,
    String.raw`"\u12G4"`,
    String.raw`"\u123G"`,
    '"\\',
    "'a'",
    '[',
    '[1',
    '[1,]',
    '[,1]',
    '[1 2]',
    '{',
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,}',
    '{,}',
    '{a:1}',
    '{"a" 1}',
    '{1:1}',
    '{}{}',
    '{} x',
    '[1]]',
    '/* */1',
  ];
  for (const text of bad) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => {
        JSON.parse(text);
      });
      assert.notEqual(read(text), 'ok');
    });
  }
});

describe('depth', () => {
  const nest = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
  test('128 containers by default', () => {
    assert.equal(read(nest(128)), 'ok');
    assert.equal(read(nest(129)), 'too_deep at 128');
    assert.equal(read(`${'{"a":'.repeat(129)}1${'}'.repeat(129)}`), 'too_deep at 640');
  });
  test('as configured', () => {
    assert.equal(read('[[1]]', 2), 'ok');
    assert.equal(read('[[[1]]]', 2), 'too_deep at 2');
  });
  test('a million brackets end at the limit, not at the end of the stack', () => {
    assert.equal(read('['.repeat(1_000_000)), 'too_deep at 128');
    assert.equal(read('{"a":'.repeat(200_000)), 'too_deep at 640');
  });
});

describe('text', () => {
  const decode = (literal: string) => {
    const json = new JsonScanner(Buffer.from(literal));
    return json.text(0, json.skipString(0));
  };
  test('decodes plain, escaped and wide strings', () => {
    assert.equal(decode('"tools/call"'), 'tools/call');
    assert.equal(decode(String.raw`"tools\/c\u0061ll"`), 'tools/call');
    assert.equal(decode('"é😀"'), 'é😀');
    assert.equal(decode(String.raw`"\ud83d\ude00"`), '😀');
    assert.equal(decode('""'), '');
  });
  test('has no word for what decoders disagree about', () => {
    assert.equal(decode(String.raw`"a\u0000"`), undefined);
    assert.equal(decode(String.raw`"a\ud800"`), undefined);
    assert.equal(decode(String.raw`"\ude00\ud83d"`), undefined);
  });
});

test('members hands over keys and values, and stops when told', () => {
  const body = Buffer.from(' { "a" : [1] ,"b":{"c":2} } ');
  const json = new JsonScanner(body);
  const seen: string[] = [];
  const end = json.members(1, 0, (keyStart, keyEnd, valueStart) => {
    const valueEnd = json.skipValue(valueStart, 1);
    seen.push(`${json.text(keyStart, keyEnd)}=${body.toString('utf8', valueStart, valueEnd)}`);
    return valueEnd;
  });
  assert.deepEqual(seen, ['a=[1]', 'b={"c":2}']);
  assert.equal(end, body.length - 1);
  assert.equal(
    json.members(1, 0, () => -1),
    -1,
  );
});
