import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Secret } from '../../../src/core/secret.ts';
import { OpenedGrants } from '../../../src/upstream/opened-grants.ts';
import type { Grant } from '../../../src/upstream/vault/vault.ts';
import { testTools } from '../authn/support.ts';

const NOW = 1_800_000_000_000;
const grant = (generation: number, change: Partial<Grant> = {}): Grant => ({
  generation,
  accessToken: new Secret(`a${generation}`),
  refreshToken: new Secret('r'),
  tokenType: 'Bearer',
  scopes: [],
  requestedScopes: [],
  issuedAtMs: NOW,
  expiresAtMs: NOW + 300_000,
  connectedAtMs: NOW,
  ...change,
});
const make = (maxBytes?: number) => new OpenedGrants(testTools().metrics, maxBytes);

describe('open grants', () => {
  test('the token object stays the same for as long as the token does', () => {
    const opened = make();
    const first = opened.take('k', grant(1), NOW, NOW, 0);
    assert.equal(opened.take('k', grant(1), NOW + 3_000, NOW + 3_000, 0).token, first.token);
    assert.notEqual(opened.take('k', grant(2), NOW + 6_000, NOW + 6_000, 0).token, first.token);
  });

  test('a look that began before something newer was stored does not bring the old one back', () => {
    const opened = make();
    opened.stored('k', grant(2), NOW + 20, 0);
    assert.equal(opened.take('k', grant(1), NOW + 10, NOW + 30, 0).grant.generation, 2);
    assert.equal(opened.get('k')?.grant.generation, 2);
  });

  test('a refusal that the store does not know yet is not forgotten', () => {
    const opened = make();
    opened.take('k', grant(1), NOW, NOW, 0);
    opened.markStale('k', 2);
    assert.equal(opened.get('k')?.grant.stale, undefined);
    opened.markStale('k', 1);
    assert.equal(opened.take('k', grant(1), NOW + 10, NOW + 10, 0).grant.stale, true);
    assert.equal(opened.take('k', grant(2), NOW + 20, NOW + 20, 0).grant.stale, undefined);
  });

  test('what this process has seen limits what the clock of another replica may say', () => {
    const opened = make();
    opened.take('k', grant(1, { issuedAtMs: NOW - 600_000, expiresAtMs: NOW - 300_000 }), NOW, NOW, 0);
    const behind = { issuedAtMs: NOW - 3_600_000, expiresAtMs: NOW - 3_300_000 };
    assert.equal(opened.take('k', grant(2, behind), NOW + 100, NOW + 110, 0).endMs, NOW + 300_000);
    const ahead = { issuedAtMs: NOW + 3_600_000, expiresAtMs: NOW + 3_900_000 };
    assert.equal(opened.take('k', grant(3, ahead), NOW + 200, NOW + 210, 0).endMs, NOW + 210 + 300_000);
    assert.equal(
      opened.take('k', grant(3, ahead), NOW + 4_000, NOW + 4_010, 0).endMs,
      NOW + 210 + 300_000,
      'not longer with every look',
    );
  });

  test('bounded by bytes: who was asked for least recently goes first', () => {
    const opened = make(10_000);
    for (let i = 0; i < 100; i++) opened.take(`k${i}`, grant(i), NOW, NOW, 0);
    assert.equal(opened.get('k0'), undefined);
    assert.ok(opened.get('k99'));
  });

  test('not open for longer than a minute without anybody asking', () => {
    const opened = make();
    opened.take('old', grant(1), NOW, NOW, 0);
    opened.take('new', grant(2), NOW + 30_000, NOW + 30_000, 0);
    opened.sweep(NOW + 61_000);
    assert.equal(opened.get('old'), undefined);
    assert.ok(opened.get('new'));
  });
});
