import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { pathText } from '../../../src/core/problem.ts';
import { duration, entryName, secret } from '../../../src/core/scalars.ts';
import { schemaProblems } from '../../../src/core/schema-problems.ts';

const SCHEMA = z.strictObject({
  name: z.string(),
  count: z.int().min(1).max(9).optional(),
  flag: z.boolean().default(false),
  wait: duration().prefault('1s'),
  password: secret().optional(),
  list: z.array(z.strictObject({ colour: z.enum(['red', 'green']) })).default([]),
  byName: z.record(entryName(), z.strictObject({ size: z.number() })).default({}),
  either: z.union([z.array(z.enum(['sub', 'email'])), z.record(z.string(), z.string())]).optional(),
  kind: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('cat'), lives: z.number() }),
      z.strictObject({ type: z.literal('dog') }),
    ])
    .optional(),
});

function told(data: unknown): string[] {
  const parsed = SCHEMA.safeParse(data);
  return parsed.success
    ? []
    : schemaProblems(SCHEMA, data, parsed.error).map(
        ({ path, message, mend }) => `${pathText(path)}: ${message} → ${mend}`,
      );
}

const cases: [name: string, data: unknown, ...expected: string[]][] = [
  ['missing', {}, 'name: is missing; it must be a text → add `name`'],
  ['not a text', { name: 1 }, 'name: must be a text → put it in quotes'],
  ['a map for a text', { name: {} }, 'name: must be a text → correct the value'],
  ['empty', { name: 'a', list: null }, 'list: is empty; it must be a list → give `list` a value, or leave it out'],
  ['unknown and near', { name: 'a', flags: true }, 'flags: is not a known key → did you mean `flag`?'],
  [
    'unknown and far',
    { name: 'a', byName: { x: { size: 1, zzzzzz: 2 } } },
    'byName.x.zzzzzz: is not a known key → remove it; known here: size',
  ],
  ['a bound', { name: 'a', count: 10 }, 'count: must not be more than 9 → make it smaller'],
  [
    'an item',
    { name: 'a', list: [{ colour: 'redd' }] },
    'list[0].colour: must be one of red, green → did you mean `red`?',
  ],
  [
    'a sentence of our own',
    { name: 'a', wait: '5' },
    'wait: must be a duration such as 250ms, 30s, 5m or 1h → correct the value',
  ],
  [
    'a bad name',
    { name: 'a', byName: { 'x y': { size: 1 } } },
    'byName."x y": the name must be 1 to 64 letters, digits, dots, dashes and underscores → rename it',
  ],
  ['the wrong kind of either', { name: 'a', either: 5 }, 'either: must be a list or a map → correct the value'],
  [
    'the list form of either',
    { name: 'a', either: ['subb'] },
    'either[0]: must be one of sub, email → did you mean `sub`?',
  ],
  ['the map form of either', { name: 'a', either: { a: 1 } }, 'either.a: must be a text → put it in quotes'],
  [
    'an unknown variant',
    { name: 'a', kind: { type: 'catt' } },
    'kind.type: must be one of cat, dog → did you mean `cat`?',
  ],
  ['no variant', { name: 'a', kind: {} }, 'kind.type: is missing; it must be one of cat, dog → add `type`'],
  [
    'a key of another variant',
    { name: 'a', kind: { type: 'dog', lives: 9 } },
    'kind.lives: is not a known key → remove it; known here: type',
  ],
  [
    'a number for a secret',
    { name: 'a', password: 5 },
    'password: must be a text, {env: NAME} or {file: PATH} → correct the value',
  ],
  ['an empty secret', { name: 'a', password: '' }, 'password: is empty → write the secret, or where to read it'],
  [
    'a secret that became a key',
    { name: 'a', password: { hunter2: null } },
    'password: must be a text, {env: NAME} or {file: PATH} → correct the value',
  ],
];

for (const [name, data, ...expected] of cases) test(name, () => assert.deepEqual(told(data), expected));
