// docs/threat-model.md: whatever it claims names a test, and the test exists.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { faultOf, testsNamedIn } from './named-tests.ts';
import { ROOT } from './page-list.ts';
import { type Row, rowsOf } from './tables.ts';

const text = readFileSync(join(ROOT, 'docs/threat-model.md'), 'utf8');
const claims = rowsOf(text).filter(({ columns }) => columns.at(-1) === 'tests');
const idOf = ({ cells }: Row) => cells[0] ?? '';

test('there are claims at every boundary, of every kind of attack', () => {
  const boundaries = [...text.matchAll(/^## (\d) · /gm)].map(([, number]) => number);
  assert.equal(boundaries.join(''), '123456789');
  for (const boundary of boundaries)
    for (const letter of 'STRIDE')
      assert.ok(
        claims.some((row) => idOf(row).startsWith(`${boundary}-${letter}`)),
        `${boundary}-${letter}`,
      );
});

test('every mistake that has been reported has its row', () => {
  const rows = claims.map(idOf).filter((id) => id.startsWith('R'));
  assert.deepEqual(
    rows,
    Array.from({ length: 18 }, (_, i) => `R${i + 1}`),
  );
});

test('no id is there twice', () => assert.equal(new Set(claims.map(idOf)).size, claims.length));

describe('claims', () => {
  for (const row of claims) {
    test(idOf(row), () => {
      const named = testsNamedIn(row.cells.at(-1) ?? '');
      assert.ok(named.length > 0, 'a claim without a test');
      assert.equal(named.length, (row.cells.at(-1) ?? '').split('<br>').length, 'a test that is not written as one');
      assert.deepEqual(named.map(faultOf).filter(Boolean), []);
    });
  }
});

test('nothing is claimed outside of the tables', () => {
  const prose = text.slice(text.indexOf('## Boundaries'), text.indexOf('## Known limits'));
  const sentences = prose.split('\n').filter((line) => !line.startsWith('|'));
  assert.deepEqual(
    sentences.filter((line) => /\b(?:never|cannot|can not|refused?s?|impossible|safe)\b/.test(line)),
    [],
  );
});

test('names of tests that are not there are found', () => {
  const faults = [
    ['e2e/none.test.ts', 'x', /there is no test/],
    ['e2e/attacks.test.ts', 'Expect: 100-continue', /has no test called/],
    ['mutation/mutation.test.ts', 'V-30: gRPC on the moon', /has no test called/],
    ['config/config.test.ts', 'bad/V-20-no-such-file', /has no test called/],
  ] as const;
  for (const [file, name, expected] of faults) assert.match(faultOf({ file, name }) ?? '', expected);
  const there = [
    ['e2e/attacks.test.ts', 'Expect: 100-continue changes nothing'],
    ['mutation/mutation.test.ts', 'V-30: gRPC on every address'],
    ['config/config.test.ts', 'bad/V-20-no-policy'],
  ] as const;
  for (const [file, name] of there) assert.equal(faultOf({ file, name }), undefined);
});
