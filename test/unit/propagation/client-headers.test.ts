import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { HeaderEdits } from '../../../src/core/header-edits.ts';
import { HeaderFields } from '../../../src/core/request-facts.ts';
import { prepareClientHeaders } from '../../../src/propagation/client-headers.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

describe('prepareClientHeaders', () => {
  it('keeps nothing of the requests it has seen', () => {
    const strip = prepareClientHeaders([]);
    const heap = () => {
      gc();
      return process.memoryUsage().heapUsed;
    };
    const before = heap();
    for (let i = 0; i < 512; i++) {
      // As readHeaderMap cuts names: a part of the text of the whole header block, which stays alive with it.
      const block = Buffer.alloc(60_000, 'j').toString('latin1') + `x-another-header-name-${i}`;
      strip(new HeaderFields([block.substring(60_000), 'a']), new HeaderEdits());
    }
    const grownMiB = (heap() - before) / 1024 ** 2;
    assert.ok(grownMiB < 4, `${grownMiB.toFixed(1)} MiB stay`);
    strip(new HeaderFields([]), new HeaderEdits()); // it is still in use
  });
});
