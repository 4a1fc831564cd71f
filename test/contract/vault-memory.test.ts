import { createSealer } from '../../src/core/seal.ts';
import { createMemoryStore } from '../../src/upstream/vault/memory.ts';
import { OPERATION_LIMIT_MS, createRun } from '../../src/upstream/vault/operations.ts';
import { createVault } from '../../src/upstream/vault/sealed-vault.ts';
import type { Store, StoredRecord } from '../../src/upstream/vault/store.ts';
import { testTools } from '../support/vault-tools.ts';
import { vaultContract } from './vault-suite.ts';

vaultContract('memory', async () => {
  const tools = testTools();
  let store: Store = createMemoryStore(tools.clock);
  return {
    open: async (keys) => {
      const sealer = createSealer(
        keys.map(({ id, bytes }) => ({ id, key: bytes })),
        'vault',
      );
      return createVault(store, sealer, createRun(tools.metrics, OPERATION_LIMIT_MS));
    },
    get store() {
      return store;
    },
    pass: async (ms) => tools.clock.advance(ms),
    atRest: async () => {
      const records: StoredRecord[] = [];
      for await (const page of store.pages()) records.push(...page);
      return Buffer.from(JSON.stringify(records));
    },
    clear: async () => {
      store = createMemoryStore(tools.clock);
    },
    dispose: async () => {},
  };
});
