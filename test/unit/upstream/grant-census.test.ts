import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test, type TestContext } from 'node:test';
import { createSealer } from '../../../src/core/seal.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { startGrantCensus } from '../../../src/upstream/grant-census.ts';
import { createRun } from '../../../src/upstream/vault/operations.ts';
import { createVault } from '../../../src/upstream/vault/sealed-vault.ts';
import type { GrantContent, Vault } from '../../../src/upstream/vault/vault.ts';
import { HOUR, keyOf, tampered, unavailable, until, World } from './refresher-world.ts';

const USER = (i: number) => ({ issuer: 'https://idp.example.com', subject: `user-${i}` });

function world() {
  const w = new World();
  const metrics = createMetrics({ process: false });
  const github = { ...w.provider('github', ['repo']), issuedBy: 'today' };
  const fits = { requestedScopes: ['repo'], issuedBy: 'today' };
  let users = 0;
  const connect = (change: Partial<GrantContent> = {}, provider = 'github', vault = w.vault) =>
    vault.create(keyOf(USER(users++), provider), { ...w.content('x', fits), ...change });
  const withoutRefresh = (change: Partial<GrantContent>): GrantContent => {
    const { refreshToken: _gone, ...rest } = w.content('x', { ...fits, ...change });
    return rest;
  };
  const providers = new Map([
    ['github', github],
    ['jira', w.jira],
  ]);
  const start = (t: TestContext, options: { vault?: Vault; perGrantMs?: number; restMs?: number } = {}) => {
    const { vault = w.vault, perGrantMs = 0, restMs = 60_000 } = options;
    const census = startGrantCensus({ vault, providers, tools: { ...w.tools, metrics }, pace: { perGrantMs, restMs } });
    t.after(() => census.close());
    return census;
  };
  const told = async () => {
    const lines = (await metrics.text()).matchAll(
      /^mcp_identity_upstream_grants\{provider="(\w+)",state="(\w+)"\} (\d+)$/gm,
    );
    return Object.fromEntries([...lines].map(([, provider, state, count]) => [`${provider} ${state}`, Number(count)]));
  };
  const settled = async (holds: (counts: Record<string, number>) => boolean) => {
    let counts = await told();
    for (const end = Date.now() + 5_000; !holds(counts); counts = await told()) {
      assert.ok(Date.now() < end, JSON.stringify(counts));
      await new Promise((resolve) => setImmediate(resolve));
    }
    return counts;
  };
  return { w, connect, withoutRefresh, start, told, settled };
}

describe('grants by state', { timeout: 30_000 }, () => {
  test('usable, reconnect, unreadable, unused', async (t) => {
    const { w, connect, withoutRefresh, start, settled } = world();
    const { nowMs } = w.tools.time;
    await connect();
    await connect({ expiresAtMs: nowMs - 1 }); // refreshed with the next call
    await connect({ stale: true });
    await w.vault.create(keyOf(USER(90)), withoutRefresh({ expiresAtMs: nowMs + HOUR }));
    await w.vault.create(keyOf(USER(91)), withoutRefresh({ expiresAtMs: nowMs - 1 }));
    await w.vault.create(keyOf(USER(92)), withoutRefresh({ stale: true }));
    await connect({ requestedScopes: [] });
    await connect({ issuedBy: 'another server' });
    const otherKey = createSealer([{ id: 'k9', key: randomBytes(32) }], 'vault');
    await connect({}, 'github', createVault(w.store, otherKey, createRun(w.tools.metrics, 1_000)));
    await connect({}, 'left-out-today');
    start(t);
    const counts = await settled((all) => 'github usable' in all);
    assert.deepEqual(counts, {
      'github usable': 4,
      'github reconnect': 4,
      'github unreadable': 1,
      'jira usable': 0,
      'jira reconnect': 0,
      'jira unreadable': 0,
      'unconfigured unused': 1,
    });
  });

  test('a scrape causes no look into the vault; the next walk counts anew', async (t) => {
    const { w, connect, start, told, settled } = world();
    await connect();
    let walks = 0;
    const vault = tampered(w.vault, { list: (...args) => (walks++, w.vault.list(...args)) });
    start(t, { vault, restMs: 200 });
    await settled((all) => all['github usable'] === 1);
    const before = walks;
    for (let i = 0; i < 50; i++) await told();
    assert.ok(walks - before <= 1, `${walks - before} walks`);
    await connect();
    await settled((all) => all['github usable'] === 2);
  });

  test('a few at a time: between them others have their turn, and the end of the process does not wait', async (t) => {
    const { w, connect, start, told } = world();
    for (let i = 0; i < 200; i++) await connect();
    let opened = 0;
    const vault = tampered(w.vault, {
      async *list(...args) {
        for await (const listed of w.vault.list(...args)) {
          opened++;
          yield listed;
        }
      },
    });
    const census = start(t, { vault, perGrantMs: 1_000 });
    await until(() => opened > 0);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(opened, 25);
    assert.deepEqual(await told(), {}, 'nothing is told before all are counted');
    await census.close();
    assert.equal(opened, 25);
  });

  test('the vault is away: what was counted stays, the log says why, counting goes on later', async (t) => {
    const { w, connect, start, settled } = world();
    await connect();
    let away = false;
    const vault = tampered(w.vault, {
      async *list(...args) {
        if (away) await unavailable();
        yield* w.vault.list(...args);
      },
    });
    start(t, { vault, restMs: 5 });
    await settled((all) => all['github usable'] === 1);
    away = true;
    await until(() => w.tools.lines.some(({ message }) => message === 'grants could not be counted'));
    await settled((all) => all['github usable'] === 1);
    await connect();
    away = false;
    await settled((all) => all['github usable'] === 2);
  });
});
