import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { filterList } from '../../src/mcp/list-filter.ts';
import { ListStream } from '../../src/mcp/list-stream.ts';
import { mutated, spelled } from './mcp-spelling.ts';

const HIDDEN = new Set(['x', 'delete_repo']);
const RULES = { hides: (tool: string) => HIDDEN.has(tool), cacheable: false };

const tool = fc.record({ name: fc.constantFrom('a', 'x', 'delete_repo', 'é', 'xx'), inputSchema: fc.jsonValue() });
const answer = fc.record({
  jsonrpc: fc.constant('2.0'),
  id: fc.constantFrom(1, 'a'),
  result: fc.record(
    {
      tools: fc.array(tool, { maxLength: 6 }),
      nextCursor: fc.string(),
      cacheScope: fc.constantFrom('public', 'private'),
    },
    { requiredKeys: ['tools'] },
  ),
});
type Answer = { result: { tools: { name: string }[]; cacheScope?: string } };

/** What must be left, by a parser that is not ours. */
function expected(text: string): unknown {
  const parsed = JSON.parse(text) as Answer;
  parsed.result.tools = parsed.result.tools.filter(({ name }) => !HIDDEN.has(name));
  if (parsed.result.cacheScope !== undefined) parsed.result.cacheScope = 'private';
  return parsed;
}

test('however a list is spelled, what is hidden goes and nothing else', () => {
  fc.assert(
    fc.property(answer.chain(spelled), (text) => {
      const edit = filterList(Buffer.from(text), RULES);
      assert.notEqual(edit.kind, 'unreadable');
      const after = edit.kind === 'edited' ? edit.body.toString() : text;
      assert.deepEqual(JSON.parse(after), expected(text), text);
    }),
    { numRuns: 3000 },
  );
});

test('of a list with a few bytes changed, no parser finds a hidden tool', () => {
  fc.assert(
    fc.property(answer.chain(spelled).chain(mutated), (bytes) => {
      const edit = filterList(bytes, RULES);
      if (edit.kind === 'unreadable') return;
      const after = JSON.parse((edit.kind === 'edited' ? edit.body : bytes).toString()) as Partial<Answer>;
      for (const one of after.result?.tools ?? []) assert.ok(!HIDDEN.has(one.name), bytes.toString());
    }),
    { numRuns: 10_000 },
  );
});

test('an event stream is filtered the same in whatever pieces it comes', () => {
  const event = fc.tuple(
    fc.constantFrom('\n', '\r\n', '\r'),
    fc.constantFrom('', 'id: 1', ': c'),
    answer.chain(spelled),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 4 }), fc.array(fc.integer({ min: 1, max: 60 })), (events, sizes) => {
      const text = events.map(([end, head, json]) => {
        const lines = [head, ...json.split(/\r\n|\r|\n/).map((line) => `data: ${line}`), '', ''].filter(
          (line, i) => i > 0 || line !== '',
        );
        return lines.join(end);
      });
      const whole = Buffer.from(text.join(''));
      const stream = new ListStream(RULES, 1 << 20);
      const passed: Buffer[] = [];
      let at = 0;
      for (const size of sizes) {
        passed.push(stream.push(whole.subarray(at, at + size), false));
        at += size;
      }
      passed.push(stream.push(whole.subarray(at), true));
      const found = messages(Buffer.concat(passed).toString());
      assert.deepEqual(
        found,
        events.map(([, , json]) => expected(json)),
      );
    }),
    { numRuns: 2000 },
  );
});

/** As a client reads a stream: lines, then events. */
function messages(text: string): unknown[] {
  const found: unknown[] = [];
  let data: string[] = [];
  for (const line of text.split(/\r\n|\r|\n/)) {
    if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
    if (line === '' && data.length > 0) {
      found.push(JSON.parse(data.join('\n')));
      data = [];
    }
  }
  return found;
}
