import assert from 'node:assert/strict';
import { test } from 'node:test';
import { format, inspect } from 'node:util';
import { Secret } from '../../../src/core/secret.ts';

test('a secret says nothing of itself, however it is printed', () => {
  const secret = new Secret('hunter2');
  const printed = [
    `a ${secret as unknown as string}`,
    JSON.stringify({ secret }),
    inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
    format('%s %o %O %j', secret, secret, secret, secret),
    JSON.stringify(Object.entries(secret)),
    String(new Error('failed', { cause: secret }).cause),
  ];
  for (const text of printed) assert.ok(!text.includes('hunter2'), text);
  assert.equal(secret.reveal(), 'hunter2');
});
