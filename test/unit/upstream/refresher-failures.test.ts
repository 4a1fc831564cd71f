import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONFIRM_MS } from '../../../src/upstream/refresher.ts';
import { ALICE, BOB, KEY, ask, keyOf, tokenOf, worlds } from './refresher-world.ts';

describe('refresher: failures of the provider', { timeout: 30_000 }, () => {
  const world = worlds();

  describe('failures of the provider', () => {
    test('no call before the wait is over; the wait grows; success ends it', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      w.github.next = () => ({ kind: 'failed', fault: 'server_error' });
      const refresher = w.refresher();
      assert.deepEqual(await ask(refresher), { kind: 'unavailable', reason: 'server_error', retryAfterSeconds: 1 });
      assert.deepEqual(await ask(refresher), { kind: 'unavailable', reason: 'server_error', retryAfterSeconds: 1 });
      assert.equal(w.github.calls.length, 1);
      w.pass(1_000);
      assert.deepEqual(await ask(refresher), { kind: 'unavailable', reason: 'server_error', retryAfterSeconds: 2 });
      w.pass(2_000);
      w.github.next = () => ({ kind: 'refreshed', content: w.content('second') });
      assert.equal(tokenOf(await ask(refresher)), 'at-second');
      assert.equal(w.github.calls.length, 3);
    });

    test('Retry-After is kept to, and passed on', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      w.github.next = () => ({ kind: 'failed', fault: 'rate_limited', retryAfterSeconds: 30 });
      const refresher = w.refresher();
      assert.deepEqual(await ask(refresher), { kind: 'unavailable', reason: 'rate_limited', retryAfterSeconds: 30 });
      w.pass(CONFIRM_MS);
      await ask(refresher);
      assert.equal(w.github.calls.length, 1);
    });

    test('one user, one provider: all others go on (R18)', async () => {
      const w = world();
      for (const user of [ALICE, BOB]) {
        await w.vault.create(keyOf(user), w.expired(`github-${user.subject}`));
        await w.vault.create(keyOf(user, 'jira'), w.expired(`jira-${user.subject}`));
      }
      w.github.next = async (grant) => {
        if (grant.refreshToken?.reveal() === 'rt-github-bob') return { kind: 'refreshed', content: w.content('bob') };
        return { kind: 'failed', fault: 'timeout' };
      };
      const refresher = w.refresher();
      const answers = await Promise.all([
        ask(refresher),
        ask(refresher, BOB),
        ask(refresher, ALICE, 'jira'),
        ask(refresher, BOB, 'jira'),
      ]);
      assert.equal(answers[0]?.kind, 'unavailable');
      assert.deepEqual(answers.slice(1).map(tokenOf), ['at-bob', 'at-jira-1', 'at-jira-2']);
    });

    test('a bug is told, and does not take a grant with it', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      w.github.next = () => {
        throw new TypeError('at-first is not a function');
      };
      assert.deepEqual(await ask(w.refresher()), { kind: 'unavailable', reason: 'internal', retryAfterSeconds: 1 });
      assert.match(JSON.stringify(w.tools.lines), /TypeError/);
      assert.doesNotMatch(JSON.stringify(w.tools.lines), /at-first/);
      assert.ok(await w.vault.read(KEY));
    });
  });

  test('audit: one line per refresh that was made, without tokens', async () => {
    const w = world();
    await w.vault.create(KEY, w.expired('first'));
    await w.vault.create(keyOf(BOB), w.expired('bob'));
    const refresher = w.refresher();
    await ask(refresher);
    w.github.next = () => ({ kind: 'failed', fault: 'client_rejected', error: 'invalid_client' });
    await ask(refresher, BOB);
    w.pass(1_000);
    w.github.next = () => ({ kind: 'dead' });
    await ask(refresher, BOB);
    const lines = w.audit.records.map(({ duration_ms, time, ...rest }) => {
      assert.ok(typeof duration_ms === 'number' && time.endsWith('Z'));
      return rest;
    });
    assert.deepEqual(lines, [
      { event: 'refresh', outcome: 'allow', reason: 'ok', ...KEY },
      { event: 'refresh', outcome: 'error', reason: 'client_rejected', ...keyOf(BOB) },
      { event: 'refresh', outcome: 'deny', reason: 'revoked', ...keyOf(BOB) },
    ]);
    for (const outcome of ['refreshed', 'client_rejected', 'revoked'])
      assert.equal(w.tools.metric(`mcp_identity_upstream_refreshes_total{provider=github,outcome=${outcome}}`), 1);
    assert.doesNotMatch(JSON.stringify([w.audit.records, w.tools.lines]), /(at|rt)-/);
    assert.doesNotMatch(JSON.stringify(w.tools.lines), /alice|bob/);
  });
});
