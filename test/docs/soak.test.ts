// docs/operations/soak.md: each disaster of the soak is told of, and also has a short test.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DISASTERS } from '../../soak/disasters.ts';
import { faultOf, testsNamedIn } from './named-tests.ts';
import { ROOT } from './page-list.ts';
import { rowsOf } from './tables.ts';

const text = readFileSync(join(ROOT, 'docs/operations/soak.md'), 'utf8');

test('each disaster has its row, and a test in it', () => {
  const rows = rowsOf(text).filter(({ columns }) => columns[0] === 'disaster');
  assert.deepEqual(new Set(rows.map(({ cells }) => cells[0])), new Set(Object.keys(DISASTERS)));
  for (const { cells } of rows) {
    const named = testsNamedIn(cells.at(-1) ?? '');
    assert.ok(named.length > 0, cells[0]);
    assert.deepEqual(named.map(faultOf).filter(Boolean), []);
  }
});
