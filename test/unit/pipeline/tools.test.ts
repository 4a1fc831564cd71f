import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { matchesPattern, prepareTools } from '../../../src/pipeline/tools.ts';

describe('tool patterns', () => {
  for (const [pattern, name, expected] of [
    ['admin_*', 'admin_', true],
    ['admin_*', 'admin_x', true],
    ['admin_*', 'xadmin_x', false],
    ['*_delete', 'repo_delete', true],
    ['*_delete', 'repo_delete_x', false],
    ['a*b*c', 'a1b2c', true],
    ['a*b*c', 'acb', false],
    ['a*a', 'a', false],
    ['ab*ba', 'aba', false],
    ['*', '', true],
    ['*x*', 'x', true],
    ['a.c', 'abc', false],
  ] as const)
    it(`${pattern} ${expected ? 'matches' : 'does not match'} "${name}"`, () =>
      assert.equal(matchesPattern(pattern, name), expected));

  it('an exact name wins, then the longest pattern; equals apply together, the stricter reading', () => {
    const rule = prepareTools({
      admin_help: { scopes: [], deny: false },
      'admin_*': { scopes: [], deny: true },
      '*': { scopes: ['any'], deny: false },
      'x*z': { scopes: ['one'], deny: false },
      'xy*': { scopes: ['two'], deny: true },
    });
    assert.deepEqual(rule('admin_help'), { scopes: [], deny: false });
    assert.equal(rule('admin_delete')?.deny, true);
    assert.deepEqual(rule('other'), { scopes: ['any'], deny: false });
    assert.deepEqual(rule('xyz'), { scopes: ['one', 'two'], deny: true });
  });

  it('a hostile name costs no more than its length', () => {
    assert.equal(matchesPattern('*a*a*a*a*a*a*a*a*b', 'a'.repeat(1_000)), false);
  });
});
