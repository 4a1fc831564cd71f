import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turnstile } from '../../../src/upstream/connect-turnstile.ts';

const caller = (browser: string, peer?: string, party = 'issuer') => ({ browser, peer, party });
const start = () => {
  const clock = { ms: 1_000_000 };
  return { clock, turnstile: new Turnstile({ nowMs: () => clock.ms }) };
};

test('a browser has two turns at a time; others do not wait for it', async () => {
  const { turnstile } = start();
  const [first, second] = [await turnstile.enter(caller('a')), await turnstile.enter(caller('a'))];
  assert.ok(first.kind === 'begun' && second.kind === 'begun');
  let entered = false;
  const third = turnstile.enter(caller('a')).finally(() => (entered = true));
  assert.equal((await turnstile.enter(caller('b'))).kind, 'begun');
  assert.equal((await turnstile.enter(caller('a', undefined, 'github'))).kind, 'begun', 'another site');
  assert.equal(entered, false);
  first.leave();
  assert.equal((await third).kind, 'begun');
});

test('too many waiting: refused at once, and nothing is used up', async () => {
  const { turnstile } = start();
  const turns = Array.from({ length: 18 }, () => turnstile.enter(caller('a')));
  for (let i = 0; i < 50; i++)
    assert.deepEqual(await turnstile.enter(caller('a')), { kind: 'refused', retryAfterSeconds: 4 });
  for (const turn of turns) {
    const begun = await turn;
    assert.ok(begun.kind === 'begun');
    begun.leave();
  }
  assert.equal((await turnstile.enter(caller('a'))).kind, 'begun');
});

test('thirty per browser, then one every two seconds', async () => {
  const { turnstile, clock } = start();
  const pass = async (peer?: string) => {
    const turn = await turnstile.enter(caller('a', peer));
    if (turn.kind === 'begun') turn.leave();
    return turn.kind === 'begun' ? 0 : turn.retryAfterSeconds;
  };
  for (let i = 0; i < 30; i++) assert.equal(await pass(), 0);
  assert.equal(await pass('192.0.2.1'), 2);
  clock.ms += 2_000;
  assert.equal(await pass(), 0);
});

test('new browsers do not help a network: eight turns at a time, 120 at once', async () => {
  const { turnstile } = start();
  const turns = [];
  // One IPv6 network, whatever its lower half.
  for (let i = 0; i < 8; i++) turns.push(await turnstile.enter(caller(`a${i}`, `2001:db8::${i + 1}`)));
  let entered = false;
  const ninth = turnstile.enter(caller('b', '2001:db8::ff')).finally(() => (entered = true));
  assert.equal((await turnstile.enter(caller('c', '192.0.2.1'))).kind, 'begun');
  assert.equal(entered, false);
  for (const turn of turns) if (turn.kind === 'begun') turn.leave();
  const last = await ninth;
  assert.ok(last.kind === 'begun');
  last.leave();

  for (let i = 9; i < 120; i++) {
    const turn = await turnstile.enter(caller(`d${i}`, '2001:db8::1'));
    assert.ok(turn.kind === 'begun');
    turn.leave();
  }
  assert.deepEqual(await turnstile.enter(caller('e', '2001:db8::1')), { kind: 'refused', retryAfterSeconds: 1 });
});

test('sixteen in all per site', async () => {
  const { turnstile } = start();
  const turns = [];
  for (let i = 0; i < 16; i++) turns.push(await turnstile.enter(caller(`a${i}`)));
  let entered = false;
  const waiting = turnstile.enter(caller('b')).finally(() => (entered = true));
  assert.equal((await turnstile.enter(caller('b', undefined, 'github'))).kind, 'begun');
  assert.equal(entered, false);
  const [first] = turns;
  assert.ok(first?.kind === 'begun');
  first.leave();
  assert.equal((await waiting).kind, 'begun');
});
