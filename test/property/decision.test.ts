// The whole decision against a small model of it: CheckRequest bytes in, CheckResponse bytes out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compared, request } from './decision-model.ts';
import { decisionWorld } from './decision-world.ts';

test('no request passes that the model denies, and backends get what the service says and nothing else', async () => {
  const world = await decisionWorld();
  const counts = { allow: 0, deny: 0, either: 0 };
  await fc.assert(
    fc.asyncProperty(request, async (from) => void counts[await compared(world, from)]++),
    { numRuns: 4_000 },
  );
  assert.ok(counts.allow > 200 && counts.deny > 200, JSON.stringify(counts));
});
