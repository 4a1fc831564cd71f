import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALICE, grantContent } from '../support/vault-tools.ts';
import type { Contract } from './vault-suite.ts';

const LONG_MS = 60_000;
const SHORT_MS = 200;

/** Leases and single use: what replicas agree on through the store. */
export function sharedCases(contract: Contract): void {
  test('of 50 that ask for a lease at once, in two replicas, one gets it', async () => {
    const replicas = [await contract.open(), await contract.open()];
    const leases = await Promise.all(
      Array.from({ length: 50 }, (_, i) => replicas[i % 2]!.lease('refresh', LONG_MS, `replica-${i % 2}`)),
    );
    assert.equal(leases.filter(Boolean).length, 1);
    assert.ok(await replicas[0]!.lease('another', LONG_MS, 'replica-0'));
  });

  test('a released lease is free at once; only its holder can release it', async () => {
    const vault = await contract.open();
    const lease = await vault.lease('refresh', LONG_MS, 'me');
    assert.ok(lease);
    assert.equal(await vault.release({ ...lease, token: 'me:guessed' }), false);
    assert.equal(await vault.release({ ...lease, name: 'another' }), false);
    assert.equal(await vault.lease('refresh', LONG_MS, 'me'), undefined, 'not even for the same owner');
    assert.equal(await vault.release(lease), true);
    assert.equal(await vault.release(lease), false);
    assert.ok(await vault.lease('refresh', LONG_MS, 'you'));
  });

  test('a lease that ran out passes on, and whoever was too slow can do no harm', async () => {
    const [slow, next] = [await contract.open(), await contract.open()];
    const { generation } = await slow.create(ALICE, grantContent());
    const lost = await slow.lease('refresh', SHORT_MS, 'slow');
    assert.ok(lost);
    await contract.harness.pass(SHORT_MS);
    const held = await next.lease('refresh', LONG_MS, 'next');
    assert.ok(held);
    assert.equal(await next.compareAndSet(ALICE, generation, grantContent()), 'stored');

    assert.equal(await slow.compareAndSet(ALICE, generation, grantContent()), 'conflict');
    assert.equal(await slow.release(lost), false);
    assert.equal(await slow.lease('refresh', LONG_MS, 'slow'), undefined, 'the next holder still holds it');
    assert.equal(await next.release(held), true);
  });

  test('a key is new once, until its time is over', async () => {
    const replicas = [await contract.open(), await contract.open()];
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => replicas[i % 2]!.once('state', LONG_MS)));
    assert.equal(answers.filter(Boolean).length, 1);
    assert.equal(await replicas[0]!.once('state2', SHORT_MS), true);
    await contract.harness.pass(SHORT_MS);
    assert.equal(await replicas[1]!.once('state2', SHORT_MS), true);
    assert.equal(await replicas[1]!.once('state', LONG_MS), false);
  });

  test('leases and single-use keys of one name are apart', async () => {
    const vault = await contract.open();
    assert.equal(await vault.once('name', LONG_MS), true);
    const lease = await vault.lease('name', LONG_MS, 'me');
    assert.ok(lease);
    assert.equal(await vault.release(lease), true);
    assert.equal(await vault.once('name', LONG_MS), false);
  });

  test('a time to live that makes no sense is a bug', async () => {
    const vault = await contract.open();
    for (const ttlMs of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await assert.rejects(vault.once('key', ttlMs), RangeError);
      await assert.rejects(vault.lease('key', ttlMs, 'me'), RangeError);
    }
  });
}
