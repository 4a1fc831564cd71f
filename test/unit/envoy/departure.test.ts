import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Departure } from '../../../src/envoy/departure.ts';

/** A departure that was asked by `peers` at so many milliseconds from now. */
function asked(...checks: [peer: string, atMs: number, ready: boolean][]): Departure {
  const departure = new Departure();
  const now = performance.now();
  for (const [peer, atMs, ready] of checks) departure.asked(peer, ready, now + atMs);
  return departure;
}

async function tookMs(departure: Departure, limitMs = 5_000): Promise<number> {
  const startedMs = performance.now();
  await departure.everybodyKnows(limitMs);
  return performance.now() - startedMs;
}

describe('a process that is going', { concurrency: true }, () => {
  test('nobody checks: it goes at once', async () => {
    assert.ok((await tookMs(asked())) < 100);
  });

  test('waits for the next check, and for what follows of it', async () => {
    const departure = asked(['a', -700, true], ['a', -200, true]);
    setTimeout(() => departure.asked('a', false, performance.now()), 300);
    const took = await tookMs(departure);
    assert.ok(took > 300 + 1_000 && took < 3_000, `${took} ms`);
  });

  test('waits for everybody who checks', async () => {
    const departure = asked(['a', -700, true], ['a', -200, true], ['b', -600, true], ['b', -100, false]);
    setTimeout(() => departure.asked('a', false, performance.now()), 200);
    const took = await tookMs(departure);
    assert.ok(took > 200 + 1_000 && took < 3_000, `${took} ms`);
  });

  test('does not wait for one that has gone itself', async () => {
    assert.ok((await tookMs(asked(['a', -2_000, true], ['a', -1_500, true]))) < 100);
    assert.ok((await tookMs(asked(['a', -50_000, true]))) < 100);
  });

  test('has a limit', async () => {
    const took = await tookMs(asked(['a', -10_000, true], ['a', -10, true]), 200);
    assert.ok(took >= 200 && took < 1_000, `${took} ms`);
  });
});
