import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { JsonScanner } from '../../../src/mcp/json-scan.ts';
import { foldKey, type KeyRules, KnownKeys, MemberKeys } from '../../../src/mcp/member-keys.ts';

describe('foldKey', () => {
  const same: [string, string, string][] = [
    ['ASCII case', 'Method', 'mEtHOD'],
    ['Go: the long s is s', 'param\u017f', 'params'],
    ['Go: the Kelvin sign is k', 'to\u212aen', 'token'],
    ['Java: dotless and dotted I are i', '\u0131\u0130', 'ii'],
    ['Go: sigma has three forms', '\u03a3\u03c3\u03c2', '\u03c3\u03c3\u03c3'],
    ['Go: capital sharp s', '\u1e9e', '\u00df'],
    ['beyond the BMP', '\u{10400}', '\u{10428}'],
  ];
  for (const [why, a, b] of same) test(why, () => assert.equal(foldKey(a), foldKey(b)));

  test('keeps apart what no parser takes for the same', () => {
    assert.notEqual(foldKey('name'), foldKey('names'));
    assert.notEqual(foldKey('_meta'), foldKey('meta'));
    assert.notEqual(foldKey('uri'), foldKey('ur\u00ed'));
  });

  test('agrees with Unicode simple folding for every letter that has it', () => {
    for (let point = 0x41; point < 0x1_0000; point++) {
      const letter = String.fromCharCode(point);
      for (const other of [letter.toLowerCase(), letter.toUpperCase()]) {
        // The `iu` flags compare by simple case folding, as Go's EqualFold does.
        if (other === letter || other.length !== 1 || !new RegExp(`^\\u{${point.toString(16)}}$`, 'iu').test(other))
          continue;
        assert.equal(foldKey(letter), foldKey(other), point.toString(16));
      }
    }
  });
});

/** Claims the keys of `object` in order; gives the names, then the reason it stopped for. */
function claims(object: string, more: Partial<KeyRules> = {}): string[] {
  const json = new JsonScanner(Buffer.from(object));
  const keys = new MemberKeys(json, { where: 'it', known: new KnownKeys(['name', 'taskId', '_meta']), ...more });
  const names: string[] = [];
  const end = json.members(0, 0, (keyStart, keyEnd, valueStart) => {
    const name = keys.claim(keyStart, keyEnd);
    if (name === undefined) return -1;
    names.push(name);
    return json.skipValue(valueStart, 1);
  });
  if (keys.fault) names.push(keys.fault.reason);
  assert.equal(end < 0, keys.fault !== undefined);
  return names;
}

describe('MemberKeys', () => {
  const cases: [object: string, names: string[], more?: Partial<KeyRules>][] = [
    ['{"name":1,"x":2,"taskId":3}', ['name', '', 'taskId']],
    [String.raw`{"n\u0061me":1}`, ['name']],
    ['{"name":1,"name":2}', ['name', 'duplicate_key']],
    [String.raw`{"name":1,"n\u0061me":2}`, ['name', 'duplicate_key']],
    [String.raw`{"n\u0061me":1,"name":2}`, ['name', 'duplicate_key']],
    ['{"name":1,"NAME":2}', ['name', 'duplicate_key']],
    ['{"taskId":1,"tas\u212aId":2}', ['taskId', 'duplicate_key']],
    ['{"Name":1}', ['wrong_case_key']],
    ['{"taskid":1}', ['wrong_case_key']],
    ['{"tas\u212aId":1}', ['wrong_case_key']],
    [String.raw`{"tas\u212aId":1}`, ['wrong_case_key']],
    ['{"x":1,"x":2}', ['', 'duplicate_key']],
    ['{"x":1,"X":2}', ['', 'duplicate_key']],
    ['{"é":1,"É":2}', ['', 'duplicate_key']],
    [String.raw`{"name\u0000":1}`, ['ambiguous']],
    [String.raw`{"name\udc00":1}`, ['ambiguous']],
    ['{"__proto__":{"name":1}}', ['ambiguous']],
    [String.raw`{"\u005f_proto__":{}}`, ['ambiguous']],
    ['{"user":1}', [''], { exact: 'user' }],
    ['{"User":1}', ['wrong_case_key'], { exact: 'user' }],
    ['{"u\u017fer":1}', ['wrong_case_key'], { exact: 'user' }],
    ['{"user":1,"User":1}', ['', 'duplicate_key'], { exact: 'user' }],
    ['{"user":1,"user":1}', ['', 'duplicate_key'], { exact: 'user' }],
    ['{"Meta":1}', ['ambiguous'], { forbidden: { name: 'meta', detail: 'may not be' } }],
  ];
  for (const [object, names, more] of cases) test(object, () => assert.deepEqual(claims(object, more), names));

  test('256 unknown keys at most', () => {
    const members = (count: number) => `{${Array.from({ length: count }, (_, n) => `"k${n}":0`).join()}}`;
    assert.equal(claims(members(256)).length, 256);
    assert.equal(claims(members(257)).at(-1), 'too_many_keys');
  });

  test('knows which of the known names were there', () => {
    const json = new JsonScanner(Buffer.from('"taskId"'));
    const keys = new MemberKeys(json, { where: 'it', known: new KnownKeys(['name', 'taskId']) });
    keys.claim(0, 8);
    assert.equal(keys.has('taskId'), true);
    assert.equal(keys.has('name'), false);
  });
});
