import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CONFIRM_MS } from '../../../src/upstream/refresher.ts';
import type { UpstreamAnswer } from '../../../src/upstream/upstream-answer.ts';
import type { Lease } from '../../../src/upstream/vault/vault.ts';
import { ALICE, BOB, KEY, HOUR, ask, keyOf, tampered, tokenOf, until, worlds } from './refresher-world.ts';

describe('refresher', { timeout: 30_000 }, () => {
  const world = worlds();

  describe('a token that is good', () => {
    test('the first call looks into the vault, the next ones have it at hand', async () => {
      const w = world();
      await w.vault.create(KEY, w.content('first'));
      const refresher = w.refresher();
      const first = ask(refresher);
      assert.ok(first instanceof Promise);
      assert.equal(tokenOf(await first), 'at-first');
      const second = ask(refresher);
      assert.ok(!(second instanceof Promise));
      assert.equal(second, await first, 'the same object, so that what is made of it can be kept');
      assert.equal(w.github.calls.length, 0);
      assert.equal(w.tools.metric('mcp_identity_upstream_cached_grants'), 1);
    });

    test('users and providers never meet, however their names are cut', async () => {
      const w = world();
      const refresher = w.refresher();
      const users = [
        ['https://a', 'b'],
        ['https://ab', ''],
        ['https:/', '/ab'],
      ] as const;
      for (const [issuer, subject] of users)
        await w.vault.create({ issuer, subject, provider: 'github' }, w.content(`${issuer}|${subject}`));
      for (const [issuer, subject] of users)
        assert.equal(tokenOf(await ask(refresher, { issuer, subject })), `at-${issuer}|${subject}`);
      assert.deepEqual(await ask(refresher, { issuer: 'https://a', subject: 'b' }, 'jira'), {
        kind: 'unconnected',
        why: 'never',
      });
    });

    test('never connected; connected a moment later', async () => {
      const w = world();
      const refresher = w.refresher();
      assert.deepEqual(await ask(refresher), { kind: 'unconnected', why: 'never' });
      await w.vault.create(KEY, w.content('first'));
      assert.equal(tokenOf(await ask(refresher)), 'at-first');
    });

    test('a disconnect on another replica is noticed within CONFIRM_MS, on this one at once', async () => {
      const w = world();
      await w.vault.create(KEY, w.content('first'));
      const [here, there] = [w.refresher(), w.refresher()];
      await Promise.all([ask(here), ask(there)]);
      await w.vault.delete(KEY);
      here.forget(KEY);
      assert.deepEqual(await ask(here), { kind: 'unconnected', why: 'never' });
      assert.equal(tokenOf(await ask(there)), 'at-first');
      w.pass(CONFIRM_MS);
      assert.deepEqual(await ask(there), { kind: 'unconnected', why: 'never' });
    });

    test('whoever calls all the time never waits for the look that confirms the grant', async () => {
      const w = world();
      await w.vault.create(KEY, w.content('first'));
      const refresher = w.refresher();
      await ask(refresher);
      for (let i = 0; i < 10; i++) {
        w.pass(CONFIRM_MS / 2);
        assert.ok(!(ask(refresher) instanceof Promise));
        await until(() => w.tools.metric('mcp_identity_vault_duration_seconds{operation=read}') === i + 2);
        await delay(1);
      }
    });

    test('scopes added to the configuration: this user is asked to reconnect, others go on; removed ones matter to nobody', async () => {
      const w = world();
      const github = w.provider('github', ['repo', 'gist']);
      const refresher = w.refresher({ github });
      await w.vault.create(KEY, w.content('alice', { requestedScopes: ['repo'] }));
      await w.vault.create(keyOf(BOB), w.content('bob', { requestedScopes: ['repo', 'gist', 'old'] }));
      assert.deepEqual(await ask(refresher), { kind: 'unconnected', why: 'scopes_changed' });
      assert.equal(tokenOf(await ask(refresher, BOB)), 'at-bob');
      assert.ok(await w.vault.read(KEY), 'nothing is deleted');
    });
  });

  describe('refresh', () => {
    test('early, in the background: calls keep using the old token until the new one is there', async () => {
      const w = world();
      await w.vault.create(KEY, w.content('first'));
      const refresher = w.refresher();
      await ask(refresher);
      w.pass(HOUR - 60_000);
      await ask(refresher);
      let release = () => {};
      const held = new Promise<void>((resolve) => (release = resolve));
      w.github.next = async () => (await held, { kind: 'refreshed', content: w.content('second') });
      const answers = [ask(refresher), ask(refresher), ask(refresher)];
      assert.ok(answers.every((answer) => !(answer instanceof Promise) && tokenOf(answer) === 'at-first'));
      release();
      await until(
        () =>
          w.tools.metric('mcp_identity_upstream_refreshes_total{provider=github,outcome=refreshed}') === 2 ||
          w.github.calls.length === 1,
      );
      await until(() => tokenOf(ask(refresher) as UpstreamAnswer) !== 'at-first');
      assert.equal(w.github.calls.length, 1);
      assert.equal(w.github.calls[0]?.refreshToken?.reveal(), 'rt-first');
    });

    test('an expired token makes calls wait, all for one refresh', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      const refresher = w.refresher();
      const answers = await Promise.all(Array.from({ length: 50 }, () => ask(refresher)));
      assert.deepEqual(new Set(answers.map(tokenOf)), new Set(['at-github-1']));
      assert.equal(w.github.calls.length, 1);
      assert.equal((await w.vault.read(KEY))?.refreshToken?.reveal(), 'rt-github-1');
    });

    test('nobody gets the new token before it is in the vault', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      let stored = false;
      const vault = tampered(w.vault, {
        compareAndSet: async (...args) => {
          await delay(30);
          stored = true;
          return w.vault.compareAndSet(...args);
        },
      });
      assert.equal(tokenOf(await ask(w.refresher({ vault }))), 'at-github-1');
      assert.ok(stored);
    });

    test('callers that hang up stop waiting; the refresh goes on', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      let release = () => {};
      const held = new Promise<void>((resolve) => (release = resolve));
      w.github.next = async () => (await held, { kind: 'refreshed', content: w.content('second') });
      const refresher = w.refresher();
      const caller = new AbortController();
      const answer = ask(refresher, ALICE, 'github', caller.signal);
      await until(() => w.github.calls.length === 1);
      const reason = new Error('hung up');
      caller.abort(reason);
      await assert.rejects(Promise.resolve(answer), reason);
      release();
      assert.equal(tokenOf(await ask(refresher)), 'at-second');
      assert.equal(w.github.calls.length, 1);
    });

    test('no refresh token: used to its end, then the account has to be connected again', async () => {
      const w = world();
      const { refreshToken: _, ...content } = w.content('first');
      await w.vault.create(KEY, content);
      const refresher = w.refresher();
      w.pass(HOUR - 1);
      assert.equal(tokenOf(await ask(refresher)), 'at-first');
      w.pass(1);
      assert.deepEqual(await ask(refresher), { kind: 'unconnected', why: 'expired' });
      assert.equal(w.github.calls.length, 0);
      assert.ok(await w.vault.read(KEY));
    });

    test('unknown end: used until a backend refuses it, then refreshed once', async () => {
      const w = world();
      const { expiresAtMs: _, ...content } = w.content('first');
      const { generation } = await w.vault.create(KEY, content);
      const refresher = w.refresher();
      w.pass(1_000 * HOUR);
      assert.equal(tokenOf(await ask(refresher)), 'at-first');
      await refresher.invalidate({ ...KEY, generation });
      assert.equal(tokenOf(await ask(refresher)), 'at-github-1');
      assert.equal(tokenOf(await ask(refresher)), 'at-github-1');
      assert.equal(w.github.calls.length, 1);
    });

    test('unknown end, no refresh token, refused: connect again', async () => {
      const w = world();
      const { expiresAtMs: _, refreshToken: __, ...content } = w.content('first');
      const { generation } = await w.vault.create(KEY, content);
      const refresher = w.refresher();
      await ask(refresher);
      await refresher.invalidate({ ...KEY, generation });
      assert.deepEqual(await ask(refresher), { kind: 'unconnected', why: 'expired' });
    });

    test('closing waits for what is under way, so that no rotated token is lost', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      w.github.next = async () => (await delay(50), { kind: 'refreshed', content: w.content('second') });
      const refresher = w.refresher();
      Promise.resolve(ask(refresher)).catch(() => {});
      await until(() => w.github.calls.length === 1);
      await refresher.close();
      assert.equal((await w.vault.read(KEY))?.refreshToken?.reveal(), 'rt-second');
    });

    test('closing begins nothing more: who waits for a turn stops, and takes none', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      let turn: Lease | undefined;
      const refresher = w.refresher({
        vault: tampered(w.vault, {
          lease: async (name, ...rest) => {
            turn ??= await w.vault.lease(name, 60_000, 'another replica');
            return w.vault.lease(name, ...rest);
          },
        }),
      });
      const waiting = ask(refresher);
      await until(() => turn !== undefined);
      await refresher.close();
      assert.deepEqual(await waiting, { kind: 'unavailable', reason: 'busy', retryAfterSeconds: 1 });
      assert.equal(w.github.calls.length, 0);
      assert.ok(turn && (await w.vault.release(turn)));
      assert.ok(await w.vault.lease(turn.name, 1_000, 'later'), 'nobody holds it');
    });
  });
});
