import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Secret } from '../../src/core/secret.ts';
import { nextGeneration } from '../../src/upstream/vault/vault.ts';
import type { GrantContent, ListedGrant } from '../../src/upstream/vault/vault.ts';
import { ALICE, BOB, grantContent } from '../support/vault-tools.ts';
import type { Contract } from './vault-suite.ts';

const withToken = (token: string) => grantContent({ accessToken: new Secret(token) });

/** Secrets compare equal whatever they hold, so they are taken out. */
function revealed(content: GrantContent) {
  const { accessToken, refreshToken, ...rest } = content;
  return { ...rest, accessToken: accessToken.reveal(), refreshToken: refreshToken?.reveal() };
}

export function grantCases(contract: Contract): void {
  test('a grant comes back as it was stored, in every replica', async () => {
    const [vault, other] = [await contract.open(), await contract.open()];
    assert.equal(await vault.read(ALICE), undefined);
    const created = await vault.create(ALICE, grantContent());
    const read = await other.read(ALICE);
    assert.ok(read);
    assert.deepEqual(revealed(read), { ...revealed(grantContent()), generation: created.generation });
  });

  test('what a provider left out stays out', async () => {
    const vault = await contract.open();
    const { accessToken, tokenType, issuedAtMs, connectedAtMs } = grantContent();
    const least = { accessToken, tokenType, issuedAtMs, connectedAtMs, scopes: [], requestedScopes: [] };
    const { generation } = await vault.create(ALICE, least);
    const read = await vault.read(ALICE);
    assert.ok(read);
    assert.deepEqual(Object.keys(read).sort(), [...Object.keys(least), 'generation'].sort());
    assert.equal(read.generation, generation);
  });

  test('users, issuers and providers never meet', async () => {
    const vault = await contract.open();
    const keys = [
      { issuer: 'ab', subject: 'c', provider: 'd' },
      { issuer: 'a', subject: 'bc', provider: 'd' },
      { issuer: 'a', subject: 'b', provider: 'cd' },
      { issuer: 'ab', subject: 'c', provider: 'e' },
      { issuer: 'AB', subject: 'c', provider: 'd' },
    ];
    for (const [i, key] of keys.entries()) await vault.create(key, withToken(`token ${i}`));
    for (const [i, key] of keys.entries())
      assert.equal((await vault.read(key))?.accessToken.reveal(), `token ${i}`, inspect(key));
  });

  test('compare-and-set stores the next generation, once', async () => {
    const vault = await contract.open();
    const { generation } = await vault.create(ALICE, withToken('first'));
    assert.equal(await vault.compareAndSet(ALICE, generation, withToken('second')), 'stored');
    assert.equal(await vault.compareAndSet(ALICE, generation, withToken('third')), 'conflict');
    const read = await vault.read(ALICE);
    assert.equal(read?.accessToken.reveal(), 'second');
    assert.equal(read?.generation, nextGeneration(generation));
    assert.equal(await vault.compareAndSet(BOB, generation, withToken('fourth')), 'conflict', 'a missing grant');
    assert.equal(await vault.read(BOB), undefined);
  });

  test('of 100 parallel writers with one generation, from two replicas, one wins', async () => {
    const replicas = [await contract.open(), await contract.open()];
    const { generation } = await replicas[0]!.create(ALICE, withToken('first'));
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        replicas[i % 2]!.compareAndSet(ALICE, generation, withToken(`writer ${i}`)),
      ),
    );
    const winners = outcomes.flatMap((outcome, i) => (outcome === 'stored' ? [i] : []));
    assert.equal(winners.length, 1);
    const read = await replicas[1]!.read(ALICE);
    assert.equal(read?.accessToken.reveal(), `writer ${winners[0]}`);
    assert.equal(read?.generation, nextGeneration(generation));
  });

  test('who held a grant before it was disconnected cannot touch the one connected after', async () => {
    const vault = await contract.open();
    const before = await vault.create(ALICE, withToken('before'));
    await vault.delete(ALICE);
    assert.equal(await vault.compareAndSet(ALICE, before.generation, withToken('late')), 'conflict');
    const after = await vault.create(ALICE, withToken('after'));
    assert.notEqual(after.generation, before.generation);
    assert.equal(await vault.compareAndSet(ALICE, before.generation, withToken('late')), 'conflict');
    assert.equal(await vault.markStale(ALICE, before.generation), 'conflict');
    assert.equal(await vault.deleteIf(ALICE, before.generation), false);
    const again = await vault.create(ALICE, withToken('again'));
    assert.equal(
      await vault.compareAndSet(ALICE, after.generation, withToken('late')),
      'conflict',
      'replaced in place',
    );
    assert.equal(await vault.compareAndSet(ALICE, nextGeneration(after.generation), withToken('late')), 'conflict');
    assert.equal((await vault.read(ALICE))?.generation, again.generation);
  });

  test('a refused token is marked without getting in the way of a refresh', async () => {
    const vault = await contract.open();
    const { generation } = await vault.create(ALICE, grantContent());
    assert.equal(await vault.markStale(ALICE, generation), 'stored');
    const stale = await vault.read(ALICE);
    assert.ok(stale);
    assert.deepEqual(revealed(stale), { ...revealed(grantContent()), generation, stale: true });
    assert.equal(await vault.compareAndSet(ALICE, generation, withToken('refreshed')), 'stored');
    assert.equal(await vault.markStale(ALICE, generation), 'conflict', 'news about the old token come too late');
    assert.equal((await vault.read(ALICE))?.stale, undefined);
    assert.equal(await vault.markStale(BOB, generation), 'conflict');
  });

  test('deletion takes what it names and nothing else', async () => {
    const vault = await contract.open();
    const alice = await vault.create(ALICE, grantContent());
    const bob = await vault.create(BOB, grantContent());
    assert.equal(await vault.deleteIf(ALICE, alice.generation + 1), false);
    assert.ok(await vault.read(ALICE));
    assert.equal(await vault.deleteIf(ALICE, alice.generation), true);
    assert.equal(await vault.read(ALICE), undefined);
    assert.equal(await vault.deleteIf(ALICE, alice.generation), false);
    assert.equal(await vault.delete(ALICE), false);
    assert.equal((await vault.read(BOB))?.generation, bob.generation);
    assert.equal(await vault.delete(BOB), true);
    assert.equal(await vault.read(BOB), undefined);
  });

  test('a list shows whose grants there are, by filter, and no token', async () => {
    const vault = await contract.open();
    const { generation } = await vault.create(ALICE, grantContent());
    await vault.create(BOB, grantContent({ stale: true }));
    await vault.create({ ...ALICE, provider: 'jira' }, grantContent());
    const names = async (filter?: Parameters<typeof vault.list>[0]) => {
      const found: string[] = [];
      for await (const entry of vault.list(filter)) {
        found.push(entry.kind === 'grant' ? `${entry.subject} ${entry.provider}` : entry.fault);
      }
      return found.sort();
    };
    assert.deepEqual(await names(), ['alice@example.com github', 'alice@example.com jira', 'bob@example.com github']);
    assert.deepEqual(await names({ provider: 'jira' }), ['alice@example.com jira']);
    assert.deepEqual(await names({ subject: BOB.subject }), ['bob@example.com github']);
    assert.deepEqual(await names({ ...ALICE, issuer: 'https://other' }), []);

    for await (const entry of vault.list(ALICE)) {
      const { record, ...rest } = entry;
      const { issuedAtMs, accessToken, refreshToken, tokenType, ...shown } = grantContent();
      assert.deepEqual(rest, { kind: 'grant', ...ALICE, generation, ...shown, stale: false, refreshable: true });
      assert.doesNotMatch(inspect(entry, { depth: null }) + JSON.stringify(entry), /PLAINTEXT/);
      assert.equal(await vault.deleteRecord(record), true);
    }
    assert.equal(await vault.read(ALICE), undefined);
  });

  test('a long list streams, each grant once', async () => {
    const vault = await contract.open();
    const users = Array.from({ length: 1_234 }, (_, i) => `user-${i}`);
    for (let i = 0; i < users.length; i += 50) {
      const some = users.slice(i, i + 50);
      await Promise.all(some.map((subject) => vault.create({ ...ALICE, subject }, grantContent())));
    }
    const seen = new Set<string>();
    for await (const entry of vault.list()) seen.add((entry as ListedGrant).subject);
    assert.deepEqual(seen, new Set(users));
    for await (const entry of vault.list()) {
      assert.equal(entry.kind, 'grant');
      break; // who has seen enough may go
    }
  });
}
