import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type { Store } from '../../src/upstream/vault/store.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import type { TestKey } from '../support/vault-tools.ts';
import { newKey } from '../support/vault-tools.ts';
import { grantCases } from './vault-grants.ts';
import { lastingCases } from './vault-sealing.ts';
import { sharedCases } from './vault-shared.ts';

/** One kind of store, empty before each test. */
export interface VaultHarness {
  /** Another vault over the same store, as another replica would open it. */
  open(keys: readonly TestKey[]): Promise<Vault>;
  /** The store underneath, for tests that damage records. */
  readonly store: Store;
  /** Returns when `ms` have passed for leases and used-up keys. */
  pass(ms: number): Promise<void>;
  /** Every byte that somebody finds who steals the disk. */
  atRest(): Promise<Buffer>;
  clear(): Promise<void>;
  dispose(): Promise<void>;
}

/** What the cases work with. */
export interface Contract {
  readonly harness: VaultHarness;
  readonly key: TestKey;
  /** A vault that is closed after the test. */
  open(...keys: readonly TestKey[]): Promise<Vault>;
}

/** What every vault must do, whatever keeps its records. */
export function vaultContract(name: string, start: () => Promise<VaultHarness>): void {
  describe(`vault contract: ${name}`, () => {
    let harness: VaultHarness;
    const opened: Vault[] = [];
    const key = newKey('k1');
    before(async () => {
      harness = await start();
    });
    after(() => harness?.dispose());
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((vault) => vault.close()));
      await harness.clear();
    });

    const contract: Contract = {
      get harness() {
        return harness;
      },
      key,
      open: async (...keys) => {
        const vault = await harness.open(keys.length > 0 ? keys : [key]);
        opened.push(vault);
        return vault;
      },
    };
    grantCases(contract);
    sharedCases(contract);
    lastingCases(contract);

    test('answers a ping, and ends when it is closed', async () => {
      const vault = await contract.open();
      await vault.ping();
      await vault.close();
      await vault.close();
    });

    test('a caller that has gone gets its own reason', async () => {
      const vault = await contract.open();
      const reason = new Error('the client hung up');
      await assert.rejects(vault.ping(AbortSignal.abort(reason)), reason);
    });
  });
}
