import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONFIRM_MS } from '../../../src/upstream/refresher.ts';
import { KEY, ask, tampered, tokenOf, unavailable, worlds } from './refresher-world.ts';

describe('refresher: refused tokens', { timeout: 30_000 }, () => {
  const world = worlds();

  describe('a backend refuses the token', () => {
    test('the next call waits for a new one; the mark is in the vault for other replicas', async () => {
      const w = world();
      const { generation } = await w.vault.create(KEY, w.content('first'));
      const [here, there] = [w.refresher(), w.refresher()];
      await Promise.all([ask(here), ask(there)]);
      await here.invalidate({ ...KEY, generation });
      assert.equal((await w.vault.read(KEY))?.stale, true);
      assert.equal(tokenOf(await ask(here)), 'at-github-1');
      w.pass(CONFIRM_MS);
      assert.equal(tokenOf(await ask(there)), 'at-github-1');
      assert.equal(w.github.calls.length, 1);
    });

    test('the word comes to a replica that has not seen that token yet', async () => {
      const w = world();
      const { generation } = await w.vault.create(KEY, w.content('first'));
      const here = w.refresher();
      await ask(here);
      await w.vault.compareAndSet(KEY, generation, w.content('second'));
      await here.invalidate({ ...KEY, generation: generation + 1 });
      assert.equal((await w.vault.read(KEY))?.stale, true);
      assert.equal(tokenOf(await ask(here)), 'at-github-1');
    });

    test('the word about an older token changes nothing', async () => {
      const w = world();
      const { generation } = await w.vault.create(KEY, w.content('first'));
      const refresher = w.refresher();
      await ask(refresher);
      await refresher.invalidate({ ...KEY, generation: generation - 1 });
      assert.equal(tokenOf(await ask(refresher)), 'at-first');
      assert.equal((await w.vault.read(KEY))?.stale, undefined);
    });

    test('a backend that refuses everything does not cause a refresh with every call', async () => {
      const w = world();
      const { generation } = await w.vault.create(KEY, w.content('first'));
      const refresher = w.refresher();
      await refresher.invalidate({ ...KEY, generation });
      for (let i = 0; i < 20; i++) {
        const answer = await ask(refresher);
        assert.ok(answer.kind === 'token');
        await refresher.invalidate({ ...KEY, generation: answer.generation });
        w.pass(100);
      }
      assert.equal(w.github.calls.length, 1);
      w.pass(3_000);
      await refresher.invalidate({ ...KEY, generation: generation + 1 });
      await ask(refresher);
      assert.equal(w.github.calls.length, 2);
    });

    test('a refused token is not served while the refresh fails', async () => {
      const w = world();
      const { generation } = await w.vault.create(KEY, w.content('first'));
      const refresher = w.refresher();
      await refresher.invalidate({ ...KEY, generation });
      w.github.next = () => ({ kind: 'failed', fault: 'server_error' });
      assert.deepEqual(await ask(refresher), { kind: 'unavailable', reason: 'server_error', retryAfterSeconds: 1 });
    });
  });

  describe('invalid_grant', () => {
    const dead = { kind: 'dead' } as const;

    test('that generation goes, and the user is asked to connect again', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      w.github.next = () => dead;
      const refresher = w.refresher();
      assert.deepEqual(await ask(refresher), { kind: 'unconnected', why: 'revoked' });
      assert.equal(await w.vault.read(KEY), undefined);
      assert.deepEqual(await ask(refresher), { kind: 'unconnected', why: 'never' });
      assert.equal(w.github.calls.length, 1);
    });

    test('a newer generation wins: connected anew while the old token was on its way', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      w.github.next = async () => {
        await w.vault.create(KEY, w.content('anew'));
        return dead;
      };
      assert.equal(tokenOf(await ask(w.refresher())), 'at-anew');
      assert.ok(await w.vault.read(KEY));
    });

    test('a newer generation wins also between the look and the deletion', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      w.github.next = () => dead;
      const vault = tampered(w.vault, {
        deleteIf: async (...args) => {
          await w.vault.create(KEY, w.content('anew'));
          return w.vault.deleteIf(...args);
        },
      });
      assert.equal(tokenOf(await ask(w.refresher({ vault }))), 'at-anew');
    });

    test('the vault is away at that moment: nothing is deleted', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      w.github.next = () => dead;
      const vault = tampered(w.vault, { deleteIf: unavailable });
      assert.deepEqual(await ask(w.refresher({ vault })), {
        kind: 'unavailable',
        reason: 'vault_unavailable',
        retryAfterSeconds: 1,
      });
      assert.ok(await w.vault.read(KEY));
    });
  });
});
