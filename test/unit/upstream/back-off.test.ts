import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BackOff } from '../../../src/upstream/back-off.ts';

test('one second, two, four, up to a minute; per key; ended by success or by a clock set back', () => {
  const backOff = new BackOff<'network'>();
  let nowMs = 1_000;
  const waits: number[] = [];
  for (let i = 0; i < 9; i++) {
    backOff.fail('a', nowMs, 'network');
    const wait = backOff.waits('a', nowMs);
    assert.equal(wait?.reason, 'network');
    waits.push(wait?.seconds ?? 0);
    nowMs += (wait?.seconds ?? 0) * 1_000;
    assert.equal(backOff.waits('a', nowMs), undefined);
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
  backOff.fail('a', nowMs, 'network');
  assert.equal(backOff.waits('b', nowMs), undefined);
  assert.equal(backOff.waits('a', nowMs - 1), undefined);
  backOff.clear('a');
  backOff.fail('a', nowMs, 'network');
  assert.equal(backOff.waits('a', nowMs)?.seconds, 1);
});

test('what the other side asks for counts when it is longer', () => {
  const backOff = new BackOff<'rate_limited'>();
  backOff.fail('a', 0, 'rate_limited', 30);
  assert.equal(backOff.waits('a', 0)?.seconds, 30);
});
