import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { JsonScanner } from '../../src/mcp/json-scan.ts';
import { mutated, spelled } from './mcp-spelling.ts';

/** Whether the scanner takes the whole of `bytes` for one JSON text. */
function scannerTakes(bytes: Buffer): boolean {
  const json = new JsonScanner(bytes, 1000);
  const end = json.skipValue(json.skipSpace(0), 0);
  return end >= 0 && json.skipSpace(end) === bytes.length;
}

function parserTakes(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

function agree(bytes: Buffer): void {
  fc.pre(isUtf8(bytes));
  assert.equal(scannerTakes(bytes), parserTakes(bytes), JSON.stringify(bytes.toString('utf8')));
}

test('the scanner takes all JSON, however it is spelled', () => {
  fc.assert(
    fc.property(fc.jsonValue().chain(spelled), (text) => {
      assert.ok(scannerTakes(Buffer.from(text)), text);
    }),
    { numRuns: 2000 },
  );
});

test('the scanner and JSON.parse agree about JSON with a few bytes changed', () => {
  fc.assert(fc.property(fc.jsonValue().chain(spelled).chain(mutated), agree), { numRuns: 5000 });
});

const TOKENS = [
  '{ } [ ] , : " "a" "a": "\\u0041" "\\u00g0" "\\x" \\ /* // \' é'.split(' '),
  '0 1 -1 - 01 -0 1. .5 1.5 1e 1e5 1E+05 e + true false null tru nulll'.split(' '),
  [' ', '\n', '\t', '\r', '\f', '\v', '\u00a0', '\ufeff', '\0', '"\u0001"', '"\u2028"'],
].flat();

test('the scanner and JSON.parse agree about any row of tokens', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...TOKENS), { maxLength: 12 }), (tokens) =>
      agree(Buffer.from(tokens.join(''))),
    ),
    { numRuns: 30_000 },
  );
});

test('the scanner and JSON.parse agree about any bytes inside a string', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 12 }), (text) => agree(Buffer.from(`"${text}"`))),
    { numRuns: 10_000 },
  );
});

test('strings decode as JSON.parse decodes them, or not at all', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 12 }).chain(spelled), (literal) => {
      const bytes = Buffer.from(literal.trim());
      const json = new JsonScanner(bytes);
      const expected = JSON.parse(literal) as string;
      const disputed = expected.includes('\0') || /\p{Surrogate}/u.test(expected);
      assert.equal(json.text(0, json.skipString(0)), disputed ? undefined : expected);
    }),
    { numRuns: 5000 },
  );
});
