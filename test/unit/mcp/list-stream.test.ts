import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ListStream } from '../../../src/mcp/list-stream.ts';

const RULES = { hides: (tool: string) => tool === 'x', cacheable: false };
const LIST = '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"x"},{"name":"é"}]}}';
const KEPT = '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"é"}]}}';
const NOTE = '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"\u2028"}}';

/** What passes of `text` when it comes in pieces of `size` bytes. */
function through(text: string, size = 1 << 20, max = 1 << 20): { text: string; stream: ListStream } {
  const stream = new ListStream(RULES, max);
  const bytes = Buffer.from(text);
  const passed: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) passed.push(stream.push(bytes.subarray(at, at + size), false));
  passed.push(stream.push(Buffer.alloc(0), true));
  return { text: Buffer.concat(passed).toString(), stream };
}

const CASES: [string, before: string, after: string][] = [
  ['one event', `data: ${LIST}\n\n`, `data: ${KEPT}\n\n`],
  ['without a space', `data:${LIST}\n\n`, `data:${KEPT}\n\n`],
  ['with two spaces', `data:  ${LIST}\n\n`, `data:  ${KEPT}\n\n`],
  [
    'CRLF',
    `id: 1\r\ndata: ${LIST}\r\n\r\ndata: ${NOTE}\r\n\r\n`,
    `id: 1\r\ndata: ${KEPT}\r\n\r\ndata: ${NOTE}\r\n\r\n`,
  ],
  ['CR', `data: ${NOTE}\r\rdata: ${LIST}\r\r`, `data: ${NOTE}\r\rdata: ${KEPT}\r\r`],
  ['line ends of every kind', `data: ${LIST}\r\ndata:\rdata:\n\n`, `data: ${KEPT}\r\ndata: \r\ndata: \r\n\n`],
  [
    'between others, with all that stands around it',
    `: hello\n\nretry: 5\nid: a\ndata:\n\nevent: message\nid: 7\ndata: ${LIST}\nx: y\n\nid: 8\ndata: ${NOTE}\n\n`,
    `: hello\n\nretry: 5\nid: a\ndata:\n\nevent: message\nid: 7\ndata: ${KEPT}\nx: y\n\nid: 8\ndata: ${NOTE}\n\n`,
  ],
  [
    'on several lines',
    `data: {"id":1,\ndata:"result": {"tools":\ndata: [{"name":"x"},\ndata: {"name":"é"}]}}\nid: 1\n\n`,
    'data: {"id":1,\ndata: "result": {"tools":\ndata: [{"name":"é"}]}}\nid: 1\n\n',
  ],
  ['of another type', `event: list\ndata: ${LIST}\n\n`, `event: list\ndata: ${KEPT}\n\n`],
  ['at the end, not complete', `data: ${NOTE}\n\ndata: ${LIST}`, `data: ${NOTE}\n\ndata: ${KEPT}`],
  ['at the end, one line end short', `data: ${LIST}\n`, `data: ${KEPT}\n`],
  ['behind a byte order mark', `\ufeffdata: ${LIST}\n\n`, `\ufeffdata: ${KEPT}\n\n`],
  ['a byte order mark further down', `: a\n\n\ufeffdata: ${LIST}\n\n`, `: a\n\n\ufeffdata: ${LIST}\n\n`],
  [
    'fields with like names',
    `database: ${LIST}\nDATA: ${LIST}\n data: 1\n\n`,
    `database: ${LIST}\nDATA: ${LIST}\n data: 1\n\n`,
  ],
  ['two lists', `data: ${LIST}\n\ndata: ${LIST}\n\n`, `data: ${KEPT}\n\ndata: ${KEPT}\n\n`],
  ['nothing', '', ''],
  ['empty lines', '\n\n\r\n\r\r', '\n\n\r\n\r\r'],
];

for (const [name, before, expected] of CASES) {
  test(name, () => assert.equal(through(before).text, expected));
  test(`${name}; byte by byte`, () => assert.equal(through(before, 1).text, expected));
  test(`${name}; in pieces of three`, () => assert.equal(through(before, 3).text, expected));
}

describe('what cannot be read is left out', () => {
  for (const data of ['{', '[]', `[${LIST}]`, LIST.slice(0, -1), `${LIST}${LIST}`, '"x"', '{"result":{"Tools":[]}}'])
    test(data.slice(0, 30), () => {
      const { text, stream } = through(`data: ${NOTE}\n\ndata: ${data}\n\ndata: ${LIST}\n\n`);
      assert.equal(text, `data: ${NOTE}\n\ndata: ${KEPT}\n\n`);
      assert.notEqual(stream.fault, undefined);
    });

  test('events that are no messages are no fault', () => {
    const { text, stream } = through(
      `event: endpoint\ndata: /messages?id=1\n\nevent:ping\ndata: 5\n\ndata: ${LIST}\n\n`,
    );
    assert.equal(text, `data: ${KEPT}\n\n`);
    assert.equal(stream.fault, undefined);
  });

  test('the last type counts', () => {
    assert.notEqual(through('event: ping\nevent: message\ndata: 5\n\n').stream.fault, undefined);
    assert.equal(through('event: message\nevent: ping\ndata: 5\n\n').stream.fault, undefined);
  });
});

test('an event longer than may be held ends what passes', () => {
  const long = `data: ${NOTE}\n\ndata: ${LIST.replace('é', 'é'.repeat(200))}\n\ndata: ${NOTE}\n\n`;
  const { text, stream } = through(long, 50, 300);
  assert.equal(text, `data: ${NOTE}\n\n`);
  assert.ok(stream.tooLarge);
  assert.equal(through(long, 50, 1000).stream.tooLarge, false);
});
