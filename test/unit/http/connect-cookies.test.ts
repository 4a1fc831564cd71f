import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createConnectCookies } from '../../../src/http/connect-cookies.ts';
import { Browser } from '../../../src/upstream/connect-browser.ts';

test('a session that no browser would keep is not made', () => {
  const keys = [{ id: 'c1', key: randomBytes(32) }];
  const cookies = createConnectCookies(keys, true, ['issuer'], { nowMs: () => 0 });
  const of = (subject: string) =>
    cookies.forPerson({ issuer: 'https://issuer.example.com', subject, label: 'a' }, new Browser());
  assert.ok((of('x'.repeat(1024)) ?? '').length > 1024);
  assert.equal(of('語'.repeat(1024)), undefined);
});
