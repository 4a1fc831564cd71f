import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import * as fc from 'fast-check';
import { compareHeaders } from '../../src/mcp/headers.ts';
import { JsonScanner } from '../../src/mcp/json-scan.ts';
import { filterList } from '../../src/mcp/list-filter.ts';
import { ListStream } from '../../src/mcp/list-stream.ts';
import { setMeta } from '../../src/mcp/meta.ts';
import { scanMessage } from '../../src/mcp/scan-message.ts';
import { isObject, type Obj, sameAsParsed } from '../property/mcp-oracle.ts';
import { mutated, someMessage, spelled } from '../property/mcp-spelling.ts';
import { near } from './texts.ts';
import { target } from './target.ts';

const text = (bytes: Buffer) => bytes.toString('utf8');
const asBytes = (texts: fc.Arbitrary<string>) => texts.map((one) => Buffer.from(one));

function parsed(bytes: Buffer): { value: unknown } | undefined {
  try {
    return isUtf8(bytes) ? { value: JSON.parse(text(bytes)) as unknown } : undefined;
  } catch {
    return undefined;
  }
}

const CALL = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_repo","arguments":{"a":[1,{"b":"\\u00e9"}]},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","user":{"id":"evil"}}}}`;
const DEEP = `{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"a":${'['.repeat(100)}${']'.repeat(100)}}}}`;
const message = fc.oneof(
  { weight: 3, arbitrary: someMessage.chain(spelled).chain(mutated) },
  { weight: 1, arbitrary: asBytes(someMessage.chain(spelled)) },
  { weight: 2, arbitrary: asBytes(near([CALL, DEEP])) },
);

const HIDDEN = new Set(['x', 'delete_repo']);
const RULES = { hides: (tool: string) => HIDDEN.has(tool), cacheable: false };
const LIST = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","inputSchema":{}},{"name":"x"},{"name":"delete_repo"}],"nextCursor":"n","cacheScope":"public"}}`;
const STREAM = `\ufeffid: 1\nevent: message\ndata: ${LIST}\n\n: c\r\ndata: {"jsonrpc":"2.0",\r\ndata: "id":2,"result":{"tools":[{"name":"x"}]}}\r\n\r\n`;

/** Names of tools that a client would see in a body. */
function toolsIn(value: unknown): string[] {
  const result = isObject(value) && isObject(value['result']) ? value['result'] : {};
  const tools = Array.isArray(result['tools']) ? (result['tools'] as unknown[]) : [];
  return tools.flatMap((tool) => (isObject(tool) && typeof tool['name'] === 'string' ? tool['name'] : []));
}

/** The data of each event, as a client reads a stream (WHATWG HTML 9.2). */
function eventsOf(stream: string): string[] {
  const events: string[] = [];
  let data: string[] = [];
  for (const line of stream.replace(/^\ufeff/, '').split(/\r\n|\r|\n/)) {
    if (line === '') {
      if (data.length > 0) events.push(data.join('\n'));
      data = [];
    } else if (/^data(?::|$)/.test(line)) data.push(line.slice(5).replace(/^ /, ''));
  }
  if (data.length > 0) events.push(data.join('\n'));
  return events;
}

function inPieces(whole: Buffer, sizes: readonly number[]): { passed: Buffer; tooLarge: boolean } {
  const stream = new ListStream(RULES, 1 << 20);
  const passed: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    passed.push(stream.push(whole.subarray(at, at + size), false));
    at += size;
  }
  passed.push(stream.push(whole.subarray(at), true));
  return { passed: Buffer.concat(passed), tooLarge: stream.tooLarge };
}

const headerText = fc.oneof(
  fc.constantFrom('tools/call', 'delete_repo', '=?base64?w6k=?=', '=?base64?dG9vbHM=?=', '2026-07-28', ''),
  near(['=?base64?ZGVsZXRlX3JlcG8=?=', 'delete_repo', '2026-07-28']),
);

/** What clients and backends write into bodies and MCP headers. */
export const MCP_TARGETS = [
  target('json-scan', 'accepts exactly what JSON.parse accepts', message, (bytes) => {
    if (!isUtf8(bytes)) return;
    const json = new JsonScanner(bytes, 1_000);
    const end = json.skipValue(json.skipSpace(0), 0);
    const taken = end >= 0 && json.skipSpace(end) === bytes.length;
    if (json.fault !== 'too_deep') assert.equal(taken, parsed(bytes) !== undefined);
  }),
  target('scan-message', 'a message is JSON, and everything read of it is what JSON.parse reads', message, (bytes) => {
    const scan = scanMessage(bytes, { metaKey: 'user' });
    const oracle = parsed(bytes);
    if (scan.kind === 'message') {
      assert.ok(oracle && isObject(oracle.value) && oracle.value['jsonrpc'] === '2.0');
      sameAsParsed(scan.message, bytes);
    } else if (scan.reason === 'not_json' || scan.reason === 'not_utf8') assert.equal(oracle, undefined);
  }),
  target('set-meta', 'the message is as it was but for our member; nobody else’s stays', message, (bytes) => {
    const scan = scanMessage(bytes, { metaKey: 'user' });
    if (scan.kind !== 'message' || scan.message.shape === 'response') return;
    const before = JSON.parse(text(bytes)) as Obj;
    const set = JSON.parse(text(setMeta(bytes, scan.message, 'user', Buffer.from('{"id":"me"}')))) as Obj;
    const params = (before['params'] ??= {}) as Obj;
    const meta = (params['_meta'] ??= {}) as Obj;
    meta['user'] = { id: 'me' };
    assert.deepEqual(set, before);
    const removed = setMeta(bytes, scan.message, 'user', null);
    const after = JSON.parse(text(removed)) as { params?: { _meta?: Obj } };
    assert.ok(!Object.hasOwn(after.params?._meta ?? {}, 'user'));
    assert.equal(scanMessage(removed, { metaKey: 'user' }).kind, 'message');
  }),
  target(
    'mcp-headers',
    'headers that pass say what the body says',
    fc.tuple(message, fc.array(headerText, { maxLength: 2 }), fc.array(headerText, { maxLength: 2 })),
    ([bytes, methods, names]) => {
      const scan = scanMessage(bytes);
      if (scan.kind !== 'message') return;
      const all: Record<string, readonly string[]> = { 'mcp-method': methods, 'mcp-name': names };
      if (compareHeaders((name) => all[name] ?? [], scan.message).kind === 'mismatch') return;
      assert.ok(methods.length <= 1 && names.length <= 1);
      if (methods.length === 1) assert.equal(scan.message.method, methods[0]);
      const [name] = names;
      const { message: body } = scan;
      const said = name?.startsWith('=?base64?') && name.endsWith('?=') ? decode64(name.slice(9, -2)) : name;
      if (said !== undefined && said !== '')
        assert.ok([body.name, body.uri, body.taskId].includes(said), `${name} passed`);
    },
  ),
  target(
    'list-filter',
    'no JSON parser finds a hidden tool in what passes',
    fc.oneof(asBytes(near([LIST])), fc.constant(LIST).chain(mutated)),
    (bytes) => {
      const edit = filterList(bytes, RULES);
      if (edit.kind === 'unreadable') return;
      const after = parsed(edit.kind === 'edited' ? edit.body : bytes);
      assert.ok(after, 'what passes is no JSON');
      assert.ok(!toolsIn(after.value).some((tool) => HIDDEN.has(tool)));
    },
  ),
  target(
    'list-stream',
    'no event reader finds a hidden tool in what passes, in whatever pieces it comes',
    fc.tuple(
      fc.oneof(asBytes(near([STREAM])), fc.constant(STREAM).chain(mutated)),
      fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 }),
    ),
    ([bytes, sizes]) => {
      const { passed, tooLarge } = inPieces(bytes, sizes);
      for (const event of eventsOf(passed.toString('utf8'))) {
        const read = parsed(Buffer.from(event));
        if (read) assert.ok(!toolsIn(read.value).some((tool) => HIDDEN.has(tool)));
      }
      if (!tooLarge) assert.ok(passed.equals(inPieces(bytes, []).passed), 'pieces change what passes');
    },
  ),
];

function decode64(encoded: string): string {
  return Buffer.from(encoded, 'base64').toString('utf8');
}
