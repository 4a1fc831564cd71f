import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Secret } from '../../../src/core/secret.ts';
import { covers, lifeOf } from '../../../src/upstream/grant-life.ts';
import type { Grant } from '../../../src/upstream/vault/vault.ts';

const grant = (issuedAtMs: number, expiresAtMs?: number): Grant => ({
  generation: 1,
  accessToken: new Secret('a'),
  tokenType: 'Bearer',
  scopes: [],
  requestedScopes: ['a', 'b'],
  issuedAtMs,
  connectedAtMs: issuedAtMs,
  ...(expiresAtMs !== undefined && { expiresAtMs }),
});
const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
const unseen = { notBeforeMs: Number.NEGATIVE_INFINITY, notAfterMs: NOW };

describe('life of a token', () => {
  test('an hour: refreshed a minute before its end, used until ten seconds before', () => {
    const life = lifeOf(grant(NOW, NOW + HOUR), 60_000, unseen);
    assert.deepEqual(life, { refreshAtMs: NOW + HOUR - 60_000, waitAtMs: NOW + HOUR - 10_000, endMs: NOW + HOUR });
  });

  test('five seconds: refreshBefore is capped at a fifth of the lifetime, the margin at a tenth', () => {
    const life = lifeOf(grant(NOW, NOW + 5_000), 60_000, unseen);
    assert.deepEqual(life, { refreshAtMs: NOW + 4_000, waitAtMs: NOW + 4_500, endMs: NOW + 5_000 });
  });

  test('refreshBefore 0s: with the margin', () => {
    const life = lifeOf(grant(NOW, NOW + HOUR), 0, unseen);
    assert.equal(life.refreshAtMs, life.waitAtMs);
  });

  test('unknown: for as long as backends take it', () => {
    assert.deepEqual(lifeOf(grant(NOW), 60_000, unseen), {
      refreshAtMs: Infinity,
      waitAtMs: Infinity,
      endMs: Infinity,
    });
  });

  test('the clock of who stored it is two hours ahead: it ends no later than a lifetime after we saw it', () => {
    const ahead = 2 * HOUR;
    assert.equal(lifeOf(grant(NOW + ahead, NOW + ahead + HOUR), 0, unseen).endMs, NOW + HOUR);
  });

  test('the clock of who stored it is two hours behind: it lives at least from when the older one was still there', () => {
    const behind = 2 * HOUR;
    const seen = { notBeforeMs: NOW - 100, notAfterMs: NOW };
    assert.equal(lifeOf(grant(NOW - behind, NOW - behind + HOUR), 0, seen).endMs, NOW - 100 + HOUR);
  });

  test('whatever the times are, the order is refresh, wait, end', () => {
    const time = fc.integer({ min: NOW - 10 * HOUR, max: NOW + 10 * HOUR });
    fc.assert(
      fc.property(time, time, time, fc.nat(HOUR), fc.nat(HOUR), (issued, expires, before, window, refreshBefore) => {
        const seen = { notBeforeMs: before, notAfterMs: before + window };
        const { refreshAtMs, waitAtMs, endMs } = lifeOf(grant(issued, expires), refreshBefore, seen);
        assert.ok(refreshAtMs <= waitAtMs && waitAtMs <= endMs);
        assert.ok(endMs <= seen.notAfterMs + Math.max(0, expires - issued));
      }),
    );
  });
});

test('scopes of the configuration that the user was never asked for', () => {
  assert.equal(covers(grant(NOW), ['b']), true);
  assert.equal(covers(grant(NOW), ['b', 'c']), false);
});
