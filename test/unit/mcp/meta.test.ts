import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { McpMessage } from '../../../src/mcp/message.ts';
import { metaKeyFault, setMeta } from '../../../src/mcp/meta.ts';
import { scanMessage } from '../../../src/mcp/scan-message.ts';

function edit(text: string, value: string | null, metaKey = 'user'): string {
  const body = Buffer.from(text);
  const scan = scanMessage(body);
  assert.equal(scan.kind, 'message', JSON.stringify(scan));
  return setMeta(
    body,
    (scan as { message: McpMessage }).message,
    metaKey,
    value === null ? null : Buffer.from(value),
  ).toString();
}

const head = '{"jsonrpc":"2.0","id":12345678901234567890,"method":"ping"';
const V = '{"id":"alice"}';

describe('set', () => {
  const cases: [string, before: string, after: string][] = [
    ['without params', `${head}}`, `${head},"params":{"_meta":{"user":${V}}}}`],
    ['without params, pretty', `${head}\n}\n`, `${head},"params":{"_meta":{"user":${V}}}\n}\n`],
    ['empty params', `${head},"params":{}}`, `${head},"params":{"_meta":{"user":${V}}}}`],
    ['empty params with a space', `${head},"params":{ }}`, `${head},"params":{"_meta":{"user":${V}} }}`],
    ['params', `${head},"params":{"a":1.0 }}`, `${head},"params":{"a":1.0,"_meta":{"user":${V}} }}`],
    ['params that end in an object', `${head},"params":{"a":{}}}`, `${head},"params":{"a":{},"_meta":{"user":${V}}}}`],
    [
      'params first',
      `{"params":{"a":1},"jsonrpc":"2.0","method":"m"}`,
      `{"params":{"a":1,"_meta":{"user":${V}}},"jsonrpc":"2.0","method":"m"}`,
    ],
    ['empty _meta', `${head},"params":{"_meta":{},"b":2}}`, `${head},"params":{"_meta":{"user":${V}},"b":2}}`],
    [
      '_meta',
      `${head},"params":{"_meta":{"x":"\\u0041" } }}`,
      `${head},"params":{"_meta":{"x":"\\u0041","user":${V} } }}`,
    ],
    [
      'replaced in place',
      `${head},"params":{"_meta":{"x":1, "user" : {"id":"mallory"} ,"y":2}}}`,
      `${head},"params":{"_meta":{"x":1, "user":${V} ,"y":2}}}`,
    ],
    [
      'replaced, written in escapes',
      `${head},"params":{"_meta":{"us\\u0065r":1}}}`,
      `${head},"params":{"_meta":{"user":${V}}}}`,
    ],
    [
      'replaced, in another case',
      `${head},"params":{"_meta":{"u\u017fER":1}}}`,
      `${head},"params":{"_meta":{"user":${V}}}}`,
    ],
    [
      'only in _meta',
      `${head},"params":{"user":1,"x":{"_meta":{"user":2}},"_meta":{"y":{"user":3}}}}`,
      `${head},"params":{"user":1,"x":{"_meta":{"user":2}},"_meta":{"y":{"user":3},"user":${V}}}}`,
    ],
  ];
  for (const [name, before, after] of cases) {
    test(name, () => {
      JSON.parse(after);
      assert.equal(edit(before, V), after);
    });
  }
});

describe('remove', () => {
  const meta = (members: string) => `${head},"params":{"_meta":{${members}}}}`;
  const cases: [string, before: string, after: string][] = [
    ['nothing to remove', `${head}}`, `${head}}`],
    ['no such member', meta('"x":1'), meta('"x":1')],
    ['the only one', meta(' "user":{"id":"mallory"} '), meta('  ')],
    ['the first', meta('"user":1, "x":2'), meta('"x":2')],
    ['in the middle', meta('"x":2,"user":1 , "y":3'), meta('"x":2,"y":3')],
    ['the last', meta('"x":2 , "user":1 '), meta('"x":2 ')],
    ['in another spelling', meta('"x":2,"U\\u017fer":1'), meta('"x":2')],
  ];
  for (const [name, before, after] of cases) {
    test(name, () => {
      JSON.parse(after);
      assert.equal(edit(before, null), after);
    });
  }

  test('no edit, no copy', () => {
    const body = Buffer.from(`${head}}`);
    const scan = scanMessage(body);
    assert.equal(scan.kind, 'message');
    assert.equal(setMeta(body, (scan as { message: McpMessage }).message, 'user', null), body);
  });
});

test('a key with a prefix', () => {
  assert.equal(edit(`${head}}`, '1', 'com.example/user'), `${head},"params":{"_meta":{"com.example/user":1}}}`);
});

test('a member behind values deeper than the default limit is found', () => {
  const deep = `${'['.repeat(300)}${']'.repeat(300)}`;
  const body = Buffer.from(`${head},"params":{"_meta":{"x":${deep},"user":"mallory"}}}`);
  const scan = scanMessage(body, { maxDepth: 500 });
  assert.equal(scan.kind, 'message');
  const edited = setMeta(body, (scan as { message: McpMessage }).message, 'user', null).toString();
  assert.equal(edited, `${head},"params":{"_meta":{"x":${deep}}}}`);
});

describe('metaKeyFault', () => {
  const legal = [
    'user',
    'User_1',
    'a',
    'a.b-c_d',
    'com.example/user',
    'com.example.mcp/user',
    'mcp/user',
    'example/user',
    'x-1.y/9',
  ];
  for (const key of legal) test(`takes ${key}`, () => assert.equal(metaKeyFault(key), undefined));

  const reserved = [
    'io.modelcontextprotocol/user',
    'dev.mcp/user',
    'org.modelcontextprotocol.api/user',
    'com.mcp.tools/user',
    'com.MCP/user',
    'progressToken',
    'ProgressToken',
    'traceparent',
    'tracestate',
    'baggage',
  ];
  for (const key of reserved) test(`keeps ${key} for MCP`, () => assert.match(metaKeyFault(key) ?? '', /MCP/));

  const malformed = [
    '',
    '/',
    '/user',
    'com.example/',
    'a/b/c',
    '-user',
    'user-',
    'us er',
    'usér',
    '__proto__',
    '1com/x',
    'com./x',
    'com-.x/y',
    '.com/x',
    'a"b',
    'user\n',
  ];
  for (const key of malformed)
    test(`refuses ${JSON.stringify(key)}`, () => assert.match(metaKeyFault(key) ?? '', /^must/));
});
