import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TARGETS } from './targets.ts';

/** A look at each target; `npm run fuzz` takes its time. */
const RUNS = 150;

describe('parsers of what outsiders control', () => {
  for (const target of TARGETS)
    test(`${target.name}: ${target.holds}`, async () => {
      const { inputs, finding } = await target.run({ seed: 1, runs: RUNS });
      assert.equal(finding, undefined, finding && `${finding.error}\ninput: ${finding.input}\npath: ${finding.path}`);
      assert.equal(inputs, RUNS);
    });
});
