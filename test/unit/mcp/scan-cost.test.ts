import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { scanMessage } from '../../../src/mcp/scan-message.ts';

/** Twice the bytes may take twice the time, with room for chance; quadratic work takes four times as long. */
describe('scanMessage: time grows with the bytes', () => {
  const marks = (count: number) => `a${'\u0301'.repeat(count)}${'\u0316'.repeat(count)}`;
  for (const [what, message] of [
    ['a tool name of combining marks', { method: 'tools/call', params: { name: marks(15_000) } }],
    ['a method of combining marks', { method: marks(15_000) }],
    ['a URI of combining marks', { method: 'resources/read', params: { uri: marks(15_000) } }],
  ] as const)
    it(what, () => {
      const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }));
      const startMs = performance.now();
      scanMessage(body);
      const tookMs = performance.now() - startMs;
      assert.ok(tookMs < 100, `${tookMs.toFixed(0)} ms for ${body.length} bytes`);
    });
});
