import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TARGETS } from './targets.ts';

/** A look at each target; `npm run fuzz` takes its time. */
const RUNS = 150;

describe('parsers of what outsiders control', () => {
  for (const { name, holds, run } of TARGETS)
    test(`${name}: ${holds}`, async () => {
      const { inputs, finding } = await run({ seed: 1, runs: RUNS });
      assert.equal(finding, undefined, finding && `${finding.error}\ninput: ${finding.input}\npath: ${finding.path}`);
      assert.equal(inputs, RUNS);
    });
});
