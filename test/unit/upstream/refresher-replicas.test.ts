import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CONFIRM_MS, type Refresher } from '../../../src/upstream/refresher.ts';
import { ALICE, KEY, ask, tampered, tokenOf, unavailable, until, worlds } from './refresher-world.ts';

describe('refresher: replicas and the vault', { timeout: 30_000 }, () => {
  const world = worlds();

  describe('several replicas', () => {
    test('two of them, 100 calls each: one refresh', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      w.github.next = async (_grant, call) => (
        await delay(20), { kind: 'refreshed', content: w.content(`new-${call}`) }
      );
      const replicas = [w.refresher(), w.refresher()];
      const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(replicas[i % 2] as Refresher)));
      assert.deepEqual(new Set(answers.map(tokenOf)), new Set(['at-new-1']));
      assert.equal(w.github.calls.length, 1);
      assert.equal(w.tools.metric('mcp_identity_upstream_refreshes_total{provider=github,outcome=superseded}'), 1);
      assert.equal(w.tools.metric('mcp_identity_upstream_lease_wait_seconds{provider=github}'), 2);
    });

    test('somebody else has stored a newer one before our turn came: no call to the provider', async () => {
      const w = world();
      const { generation } = await w.vault.create(KEY, w.expired('first'));
      const refresher = w.refresher();
      const vault = tampered(w.vault, {
        lease: async (...args) => {
          await w.vault.compareAndSet(KEY, generation, w.content('theirs'));
          return w.vault.lease(...args);
        },
      });
      assert.equal(tokenOf(await ask(w.refresher({ vault }))), 'at-theirs');
      assert.equal(w.github.calls.length, 0);
      await refresher.close();
    });

    test('the holder of the lease has crashed: its end is waited for, then it is our turn', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      const held = await w.vault.lease(leaseName(), 60_000, 'crashed');
      assert.ok(held);
      const answer = ask(w.refresher());
      await delay(100);
      assert.equal(w.github.calls.length, 0);
      w.pass(60_000);
      assert.equal(tokenOf(await answer), 'at-github-1');
    });

    test('the holder does not come to an end: 503, no back-off, the grant is kept', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      const lease = await w.vault.lease(leaseName(), 60_000, 'slow');
      const refresher = w.refresher({ limits: { waitMs: 100 } });
      assert.deepEqual(await ask(refresher), { kind: 'unavailable', reason: 'busy', retryAfterSeconds: 1 });
      assert.ok(lease && (await w.vault.release(lease)));
      assert.equal(tokenOf(await ask(refresher)), 'at-github-1');
    });

    test('the lease is given back', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      await ask(w.refresher());
      await until(() => w.tools.metric('mcp_identity_vault_duration_seconds{operation=release}') === 1);
      assert.ok(await w.vault.lease(leaseName(), 1_000, 'next'));
    });

    const leaseName = () => `refresh github ${ALICE.issuer.length}:${ALICE.issuer}${ALICE.subject}`;
  });

  describe('the vault', () => {
    test('conflict: what is there wins', async () => {
      const w = world();
      const { generation } = await w.vault.create(KEY, w.expired('first'));
      w.github.next = async () => {
        await w.vault.compareAndSet(KEY, generation, w.content('theirs'));
        return { kind: 'refreshed', content: w.content('ours') };
      };
      assert.equal(tokenOf(await ask(w.refresher())), 'at-theirs');
      assert.equal(w.github.revoked.length, 0);
    });

    test('disconnected while the refresh was under way: it stays so, and what was issued is revoked', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      const refresher = w.refresher();
      w.github.next = async () => {
        await w.vault.delete(KEY);
        refresher.forget(KEY);
        return { kind: 'refreshed', content: w.content('orphan') };
      };
      assert.deepEqual(await ask(refresher), { kind: 'unconnected', why: 'never' });
      assert.equal(await w.vault.read(KEY), undefined);
      assert.deepEqual(
        w.github.revoked.map(({ refreshToken }) => refreshToken?.reveal()),
        ['rt-orphan'],
      );
    });

    test('away when the new token has to be stored: tried until it is back, one call to the provider', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      let attempts = 0;
      const vault = tampered(w.vault, {
        compareAndSet: (...args) => (++attempts < 4 ? unavailable() : w.vault.compareAndSet(...args)),
      });
      assert.equal(tokenOf(await ask(w.refresher({ vault }))), 'at-github-1');
      assert.equal(attempts, 4);
      assert.equal(w.github.calls.length, 1);
    });

    test('the write was made and only its answer was lost: it counts', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      let attempts = 0;
      const vault = tampered(w.vault, {
        compareAndSet: async (...args) => {
          const written = await w.vault.compareAndSet(...args);
          return ++attempts === 1 ? unavailable() : written;
        },
      });
      assert.equal(tokenOf(await ask(w.refresher({ vault }))), 'at-github-1');
      assert.equal(w.tools.metric('mcp_identity_upstream_refreshes_total{provider=github,outcome=refreshed}'), 1);
      assert.equal(w.github.revoked.length, 0);
    });

    test('away while the process ends: closing waits for it to come back', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      let away = true;
      const vault = tampered(w.vault, {
        compareAndSet: (...args) => (away ? unavailable() : w.vault.compareAndSet(...args)),
      });
      const refresher = w.refresher({ vault });
      const answer = ask(refresher);
      await until(() => w.github.calls.length === 1);
      const closed = refresher.close();
      await delay(100);
      away = false;
      await closed;
      assert.equal(tokenOf(await answer), 'at-github-1');
      assert.equal((await w.vault.read(KEY))?.refreshToken?.reveal(), 'rt-github-1');
    });

    test('a look that began before a disconnect does not keep what it saw', async () => {
      const w = world();
      await w.vault.create(KEY, w.content('first'));
      let reads = 0;
      const vault = tampered(w.vault, {
        read: async (...args) => {
          const grant = await w.vault.read(...args);
          if (++reads === 1) await delay(50);
          return grant;
        },
      });
      const refresher = w.refresher({ vault });
      const early = ask(refresher);
      await w.vault.delete(KEY);
      refresher.forget(KEY);
      assert.deepEqual(await ask(refresher), { kind: 'unconnected', why: 'never' });
      assert.equal(tokenOf(await early), 'at-first');
      assert.deepEqual(await ask(refresher), { kind: 'unconnected', why: 'never' });
    });

    test('it does not come back: 503, the loss is told, and closing does not wait for ever', async () => {
      const w = world();
      await w.vault.create(KEY, w.expired('first'));
      const vault = tampered(w.vault, { compareAndSet: unavailable });
      const refresher = w.refresher({ vault, limits: { storeMs: 100 } });
      assert.deepEqual(await ask(refresher), {
        kind: 'unavailable',
        reason: 'vault_unavailable',
        retryAfterSeconds: 1,
      });
      assert.match(w.tools.lines.map(({ message }) => message).join(), /could not be stored/);
    });

    test('away when a grant has to be read: 503 at once; what is in memory serves until CONFIRM_MS are over', async () => {
      const w = world();
      await w.vault.create(KEY, w.content('first'));
      let away = false;
      const vault = tampered(w.vault, { read: (...args) => (away ? unavailable() : w.vault.read(...args)) });
      const refresher = w.refresher({ vault });
      await ask(refresher);
      away = true;
      w.pass(CONFIRM_MS - 1);
      assert.equal(tokenOf(await ask(refresher)), 'at-first');
      w.pass(1);
      assert.deepEqual(await ask(refresher), {
        kind: 'unavailable',
        reason: 'vault_unavailable',
        retryAfterSeconds: 1,
      });
      away = false;
      assert.equal(tokenOf(await ask(refresher)), 'at-first');
    });

    test('after trouble with the vault others get a moment to store what they hold', async () => {
      const w = world();
      const { generation } = await w.vault.create(KEY, w.expired('first'));
      let away = true;
      const vault = tampered(w.vault, { read: (...args) => (away ? unavailable() : w.vault.read(...args)) });
      const refresher = w.refresher({ vault, limits: { graceMs: 200 } });
      await ask(refresher);
      away = false;
      const answer = ask(refresher);
      await delay(50);
      await w.vault.compareAndSet(KEY, generation, w.content('theirs'));
      assert.equal(tokenOf(await answer), 'at-theirs');
      assert.equal(w.github.calls.length, 0, 'the refresh token that was spent already was not sent');
    });

    test('a record that does not open: 503, told by name, nothing deleted', async () => {
      const w = world();
      await w.vault.create(KEY, w.content('first'));
      const { value: page } = await w.store.pages()[Symbol.asyncIterator]().next();
      const record = page?.[0];
      assert.ok(record);
      await w.store.put({ ...record, generation: record.generation + 1 });
      const answer = await ask(w.refresher());
      assert.deepEqual(answer, { kind: 'unavailable', reason: 'grant_unreadable', retryAfterSeconds: 60 });
      assert.match(JSON.stringify(w.tools.lines), new RegExp(record.record));
      assert.ok(await w.store.read(record.record));
    });
  });
});
