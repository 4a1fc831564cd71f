import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { McpMessage } from '../../src/mcp/message.ts';
import { setMeta } from '../../src/mcp/meta.ts';
import { scanMessage } from '../../src/mcp/scan-message.ts';
import { someMessage, spelled } from './mcp-spelling.ts';

type Obj = Record<string, unknown>;
type Parsed = { params?: { _meta?: Obj } & Obj } & Obj;

const scanned = (body: Buffer): McpMessage | undefined => {
  const scan = scanMessage(body);
  return scan.kind === 'message' ? scan.message : undefined;
};
const edited = (body: Buffer, value: Buffer | null) => setMeta(body, scanned(body) as McpMessage, 'user', value);
const parse = (body: Buffer) => JSON.parse(body.toString('utf8')) as Parsed;

/** Bodies that hold a request or a notification. */
const body = someMessage
  .filter((message) => 'method' in message)
  .chain(spelled)
  .map((text) => Buffer.from(text))
  .filter((bytes) => scanned(bytes) !== undefined);
const value = fc
  .jsonValue()
  .chain((json) =>
    spelled(json).map((text) => ({ json: JSON.parse(text) as unknown, bytes: Buffer.from(text.trim()) })),
  );

const runs = { numRuns: 1000 };

test('set: the same message but for the one member', () => {
  fc.assert(
    fc.property(body, value, (before, { json, bytes }) => {
      const after = edited(before, bytes);
      const expected = parse(before);
      const params = (expected.params ??= {});
      const meta = (params._meta ??= {});
      meta['user'] = json;
      assert.deepEqual(parse(after), expected);
    }),
    runs,
  );
});

test('remove: the same message without the one member', () => {
  fc.assert(
    fc.property(body, (before) => {
      const expected = parse(before);
      delete expected.params?._meta?.['user'];
      assert.deepEqual(parse(edited(before, null)), expected);
    }),
    runs,
  );
});

test('every byte outside the member stays', () => {
  fc.assert(
    fc.property(body, value, (before, { bytes }) => {
      const clean = edited(before, null);
      const after = edited(clean, bytes);
      // What was added is one piece: the old body, all of it, stands around it.
      let same = 0;
      while (same < clean.length && clean[same] === after[same]) same++;
      const added = after.length - clean.length;
      assert.ok(added >= '"user":'.length + bytes.length);
      assert.equal(after.toString('latin1', same + added), clean.toString('latin1', same));

      // Taken out again, it leaves the old bytes, where nothing had to be created around it.
      if (parse(before).params?._meta !== undefined) assert.deepEqual(edited(after, null), clean);
    }),
    runs,
  );
});

test('the last value set is the one that counts, and the only one', () => {
  fc.assert(
    fc.property(body, value, value, (before, first, second) => {
      const twice = edited(edited(before, first.bytes), second.bytes);
      assert.deepEqual(twice, edited(before, second.bytes));
    }),
    runs,
  );
});

test('the edited body scans to the same message', () => {
  fc.assert(
    fc.property(body, fc.option(value, { nil: null }), (before, replacement) => {
      const { spans: _before, ...was } = scanned(before) as McpMessage;
      const after = scanMessage(edited(before, replacement && replacement.bytes), { metaKey: 'user', maxDepth: 200 });
      assert.equal(after.kind, 'message');
      const { spans: _after, ...is } = (after as { message: McpMessage }).message;
      assert.deepEqual(is, was);
    }),
    runs,
  );
});
