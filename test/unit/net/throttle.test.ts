import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Throttle } from '../../../src/net/throttle.ts';

const make = (maxKeys = 10) => new Throttle({ burst: 3, intervalMs: 1_000, maxKeys });

test('a burst passes at once, then one per interval', () => {
  const throttle = make();
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => throttle.take('a', 0)),
    [0, 0, 0, 1_000, 1_000],
  );
  assert.equal(throttle.take('a', 400), 600);
  assert.equal(throttle.take('a', 1_000), 0);
  assert.equal(throttle.take('a', 1_000), 1_000);
  assert.equal(throttle.take('b', 1_000), 0);
});

test('the bucket is full again after a rest, and not fuller', () => {
  const throttle = make();
  throttle.take('a', 0);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => throttle.take('a', 60_000)),
    [0, 0, 0, 1_000],
  );
});

test('what is given back can be taken again', () => {
  const throttle = make();
  for (let i = 0; i < 3; i++) throttle.take('a', 0);
  throttle.giveBack('a');
  assert.deepEqual([throttle.take('a', 0), throttle.take('a', 0)], [0, 1_000]);
  throttle.giveBack('never taken');
});

test('giving back what has filled up by itself makes no larger burst', () => {
  const throttle = make();
  throttle.take('a', 0);
  throttle.giveBack('a');
  throttle.giveBack('a');
  assert.deepEqual(
    [1, 2, 3, 4].map(() => throttle.take('a', 10)),
    [0, 0, 0, 1_000],
  );
});

test('a clock that is set back makes nobody wait longer than an interval', () => {
  const throttle = make();
  throttle.take('a', 1_000_000);
  assert.equal(throttle.take('a', 0), 1_000);
  assert.equal(throttle.take('a', 600), 400);
  assert.equal(throttle.take('a', 1_000), 0);
});
