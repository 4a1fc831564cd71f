import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { filterList, type ListEdit } from '../../../src/mcp/list-filter.ts';

const hides = (tool: string) => tool.startsWith('x');

function edit(text: string | Buffer, cacheable = false): ListEdit {
  return filterList(Buffer.from(text), { hides, cacheable });
}

/** The text afterwards. */
function after(text: string, cacheable = false): string {
  const edited = edit(text, cacheable);
  if (edited.kind === 'unreadable') return `unreadable: ${edited.detail}`;
  return edited.kind === 'edited' ? edited.body.toString() : text;
}

const list = (tools: string, more = '') => `{"jsonrpc":"2.0","id":1,"result":{"tools":${tools}${more}}}`;
const A = '{"name":"a"}';
const B = '{ "description":"1e400 \\u0041", "name" : "b", "inputSchema":{"name":"x"} }';
const X = '{"name":"x"}';

describe('tools the caller may not call go, with one comma each', () => {
  const cases: [string, before: string, after: string][] = [
    ['none', `[${A},${B}]`, `[${A},${B}]`],
    ['the only one', `[${X}]`, '[]'],
    ['the only one, with spaces', `[ ${X}\n]`, '[ \n]'],
    ['all', `[${X}, ${X} ,${X}]`, '[]'],
    ['the first', `[${X}, ${A}]`, `[${A}]`],
    ['the first two', `[ ${X} ,${X},\n${A} ]`, `[ ${A} ]`],
    ['the last', `[${A} , ${X} ]`, `[${A} ]`],
    ['the last two', `[${A},${X},${X}]`, `[${A}]`],
    ['in the middle', `[${A},${X},${B}]`, `[${A},${B}]`],
    ['here and there', `[${X},${A},${X},${X},${B},${X}]`, `[${A},${B}]`],
    ['of an empty list', '[ ]', '[ ]'],
  ];
  for (const [name, before, expected] of cases)
    test(name, () => assert.equal(after(list(before, ',"nextCursor":"n"')), list(expected, ',"nextCursor":"n"')));

  test('in pretty text nothing else changes', () => {
    const text = `\n{\n  "result" : { "nextCursor": "x", "tools": [\n    ${A},\n    ${X}\n  ], "n": 1.0 },\n "id":12345678901234567890}\n`;
    assert.equal(after(text), text.replace(`,\n    ${X}`, ''));
  });
});

describe('names are read as every client reads them, or the tool goes', () => {
  const hidden = [
    '{"name":"\\u0078"}',
    '{"\\u006eame":"x"}',
    '{"name":"a","name":"x"}',
    '{"name":"a","name":"a"}',
    '{"name":"a","Name":"x"}',
    '{"NAME":"x"}',
    '{"na\\u006de":"a","title":1,"nAme":"x"}',
    '{"name":"a","__proto__":{"name":"x"}}',
    '{"name":"a\\u0000x"}',
    '{"name":"\\ud800"}',
    '{"name":"a","\\ud800":1}',
    '{"name":"e\\u0301"}',
    '{"name":1}',
    '{"name":null}',
    '{"title":"a"}',
    '{}',
    '"a"',
    'null',
    '[{"name":"a"}]',
  ];
  for (const tool of hidden) test(tool, () => assert.equal(after(list(`[${tool},${A}]`)), list(`[${A}]`)));

  test('others stay as they are spelled', () => {
    const text = list('[{"n\\u0061me":"\\u0061"},{"name":"é"},{"names":"x","name":"a"}]');
    assert.equal(after(text), text);
  });
});

describe('unreadable, so that nothing may pass', () => {
  const cases: [string, text: string | Buffer][] = [
    ['not UTF-8', Buffer.from(list(`[${A}]`).replace('a"', 'a\xff"'), 'latin1')],
    ['a byte order mark', `\ufeff${list(`[${A}]`)}`],
    ['a batch', `[${list(`[${A}]`)}]`],
    ['a text', '"x"'],
    ['nothing', ''],
    ['cut off', list(`[${X}`).slice(0, -3)],
    ['two messages', `${list('[]')}${list(`[${X}]`)}`],
    ['too deep', list(`[${'['.repeat(200)}${']'.repeat(200)}]`)],
    ['two results', `{"result":{"tools":[]},"result":{"tools":[${X}]}}`],
    ['a result in another case', `{"result":{"tools":[]},"Result":{"tools":[${X}]}}`],
    ['RESULT', `{"RESULT":{"tools":[${X}]}}`],
    ['two lists', list('[]', `,"tools":[${X}]`)],
    ['a list in another case', list('[]', `,"Tools":[${X}]`)],
    ['Tool\u017f', list('[]', `,"Tool\u017f":[${X}]`)],
    ['a list behind a prototype', list('[]', `,"__proto__":{"tools":[${X}]}`)],
    ['a list that is an object', list(`{"0":${X}}`)],
    ['a list that is null', list('null')],
    ['a result that is a list', `{"id":1,"result":[${X}]}`],
    ['a key that ends in C', list('[]', `,"tools\\u0000":[${X}]`)],
    ['two cache scopes', list('[]', ',"cacheScope":"private","cacheScope":"public"')],
  ];
  for (const [name, text] of cases) test(name, () => assert.equal(edit(text).kind, 'unreadable'));

  test('the reason names no value', () => {
    const edited = edit(list('{"secret":1}'));
    assert.deepEqual(edited, { kind: 'unreadable', detail: 'tools is no list' });
  });
});

describe('messages without a list of tools are left alone', () => {
  for (const text of [
    '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"x","data":{"tools":[{"name":"x"}]}}}',
    '{"jsonrpc":"2.0","method":"notifications/message","params":{"tools":[{"name":"x"}]}}',
    '{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{}}}',
    '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"tools"}],"cacheScope":"public"}}',
    '{"jsonrpc":"2.0","id":1,"result":{}}',
    '{}',
  ])
    test(text, () => assert.equal(after(text, true), text));
});

describe('cacheScope', () => {
  const P = ',"cacheScope":"private"';
  const cases: [string, more: string, cacheable: boolean, expected: string][] = [
    ['older revision: none is added', '', false, ''],
    ['2026-07-28 by the request', '', true, P],
    ['2026-07-28 by the answer', ',"ttlMs":0', false, `,"ttlMs":0${P}`],
    ['2026-07-28 by its result type', ',"resultType":"complete" ', false, `,"resultType":"complete" ${P}`],
    ['public', ',"cacheScope":"public","ttlMs":5', true, ',"cacheScope":"private","ttlMs":5'],
    ['public, whatever the revision', ',"cacheScope" : "public"', false, ',"cacheScope" : "private"'],
    ['private', ',"cacheScope":"priv\\u0061te"', true, ',"cacheScope":"priv\\u0061te"'],
    ['no text', ',"cacheScope":{"a":[]}', true, ',"cacheScope":"private"'],
  ];
  for (const [name, more, cacheable, expected] of cases) {
    test(name, () => assert.equal(after(list(`[${A}]`, more), cacheable), list(`[${A}]`, expected)));
    test(`${name}; with a tool that goes`, () =>
      assert.equal(after(list(`[${X},${A}]`, more), cacheable), list(`[${A}]`, expected)));
  }
  test('before the list', () =>
    assert.equal(
      after('{"result":{"cacheScope":"public","tools":[{"name":"x"}]}}'),
      '{"result":{"cacheScope":"private","tools":[]}}',
    ));
});
