import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from '../../../src/core/nearest.ts';

const KNOWN = ['incomingAuth', 'publicUrl', 'log', 'audit', 'api_key', 'jwt'];

for (const [written, meant] of [
  ['incommingAuth', 'incomingAuth'],
  ['incoming_auth', 'incomingAuth'],
  ['PUBLICURL', 'publicUrl'],
  ['publciUrl', 'publicUrl'],
  ['lgo', 'log'],
  ['audti', 'audit'],
  ['api-key', 'api_key'],
  ['jwtt', 'jwt'],
  ['vault', undefined],
  ['x', undefined],
  ['', undefined],
  ['l'.repeat(100), undefined],
] as const) {
  test(`${written.slice(0, 20)} → ${meant ?? 'nothing'}`, () => assert.equal(nearest(written, KNOWN), meant));
}
