import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { hashOf, recordKeyOf } from '../../../../src/upstream/vault/record-key.ts';

test('the name of a record does not change: grants that are stored must be found again', () => {
  const name = recordKeyOf({ issuer: 'https://idp.example', subject: 'alice', provider: 'github' });
  const bytes = '\0\0\0\x05grant\0\0\0\x13https://idp.example\0\0\0\x05alice\0\0\0\x06github';
  assert.equal(name, createHash('sha256').update(bytes).digest('base64url'));
});

test('texts that join to the same do not hash to the same', () => {
  const names = [
    hashOf('ab', 'c'),
    hashOf('a', 'bc'),
    hashOf('abc'),
    hashOf('abc', ''),
    hashOf('', 'abc'),
    hashOf('ab\0\0\0\x01c'),
  ];
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^[\w-]{43}$/);
});
