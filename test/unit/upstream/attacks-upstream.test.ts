import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { createSealer } from '../../../src/core/seal.ts';
import { Browser } from '../../../src/upstream/connect-browser.ts';
import { createStates } from '../../../src/upstream/connect-state.ts';
import { createTickets } from '../../../src/upstream/ticket.ts';
import { BOB, ALICE, ask, KEY, keyOf, tokenOf, worlds } from './refresher-world.ts';

describe('attacks on grants and their refreshes', { timeout: 30_000 }, () => {
  const world = worlds();

  test('after a refresh of unknown outcome no other replica sends the same refresh token at once', async () => {
    const w = world();
    await w.vault.create(KEY, w.expired('first'));
    const [one, other] = [w.refresher(), w.refresher({ limits: { waitMs: 200 } })];
    // The provider may still be at work on it, and kill the family when it comes again.
    w.github.next = () => ({ kind: 'failed', fault: 'timeout' });
    await ask(one);
    await ask(other);
    assert.equal(w.github.calls.length, 1);
  });

  test('somebody who connects and disconnects without end does not take the grants of others out of memory', async () => {
    const w = world();
    await w.vault.create(KEY, w.content('alice'));
    const refresher = w.refresher();
    await ask(refresher);
    for (let i = 0; i < 100; i++) refresher.forget(keyOf(BOB));
    const reads = w.tools.metric('mcp_identity_vault_duration_seconds{operation=read}');
    assert.equal(tokenOf(await ask(refresher)), 'at-alice');
    assert.equal(w.tools.metric('mcp_identity_vault_duration_seconds{operation=read}'), reads);
  });

  test('a lifetime of next to nothing: no refresh with every call', async () => {
    const w = world();
    await w.vault.create(KEY, w.expired('first'));
    w.github.next = (_grant, call) => ({
      kind: 'refreshed',
      content: w.content(`n-${call}`, { expiresAtMs: w.tools.time.nowMs, refreshedAtMs: w.tools.time.nowMs }),
    });
    const refresher = w.refresher();
    for (let i = 0; i < 20; i++) await ask(refresher);
    assert.ok(w.github.calls.length <= 3, `${w.github.calls.length} refreshes for 20 calls within a moment`);
  });

  test('a backend that refuses every token has them refreshed ever more rarely', async () => {
    const w = world();
    await w.vault.create(KEY, w.content('first'));
    const refresher = w.refresher();
    for (let second = 0; second < 600; second++) {
      const answer = await ask(refresher);
      assert.ok(answer.kind === 'token');
      await refresher.invalidate({ ...KEY, generation: answer.generation });
      w.pass(1_000);
    }
    assert.ok(w.github.calls.length <= 30, `${w.github.calls.length} refreshes in ten minutes`);
  });

  test('one backend refuses, the provider wants to be left alone: other backends keep the token that is still good', async () => {
    const w = world();
    await w.vault.create(KEY, w.content('first'));
    const refresher = w.refresher();
    const first = await ask(refresher);
    assert.ok(first.kind === 'token');
    await refresher.invalidate({ ...KEY, generation: first.generation });
    w.github.next = () => ({ kind: 'failed', fault: 'rate_limited', retryAfterSeconds: 600 });
    const answer = await ask(refresher); // the next call, on any route of that provider
    assert.equal(answer.kind, 'token', JSON.stringify(answer));
  });

  test('texts sealed for one purpose, or changed in one character, open nowhere', async () => {
    const w = world();
    const key = { id: 'k1', key: randomBytes(32) };
    const tickets = createTickets(createSealer([key], 'ticket'), w.tools.clock);
    const states = createStates(createSealer([key], 'connect-state'), w.vault, w.tools.clock);
    const browser = new Browser();
    const ticket = tickets.issue({ ...ALICE, provider: 'github' });
    const { state } = states.begin({ kind: 'connect', provider: 'github', user: ALICE }, browser);
    assert.equal(tickets.open(state), undefined);
    const redeemed = await states.redeem('connect', 'github', ticket, browser, AbortSignal.timeout(1_000));
    assert.deepEqual(redeemed, { ok: false, fault: 'state_invalid' });
    for (let i = 0; i < ticket.length; i++) {
      const other = ticket[i] === 'A' ? 'B' : 'A';
      assert.equal(tickets.open(ticket.slice(0, i) + other + ticket.slice(i + 1)), undefined);
    }
  });
});
