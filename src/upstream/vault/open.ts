import { randomBytes } from 'node:crypto';
import type { Tools } from '../../core/ports.ts';
import { createSealer, decodeKey } from '../../core/seal.ts';
import type { SealKey, Sealer } from '../../core/seal.ts';
import type { VaultConfig } from '../schema.ts';
import { createMemoryStore } from './memory.ts';
import { OPERATION_LIMIT_MS, createRun } from './operations.ts';
import { openRedisStore } from './redis.ts';
import { createVault } from './sealed-vault.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Store } from './store.ts';
import type { Vault } from './vault.ts';

/** A vault whose keys can change while it is open. */
export interface OpenVault extends Vault {
  /**
   * Prepares other keys.
   * @returns what puts them in use, for everything that is written or read from then on
   * @throws as `openVault` does
   */
  withKeys(keys: VaultConfig['keys']): () => void;
}

/**
 * The vault that the configuration asks for (contract §3, `vault`). A Redis that is away does not keep it from opening.
 * @throws when a key is not 32 bytes, a lasting store has no keys, or an SQLite file cannot be used; says what to change
 */
export async function openVault(config: VaultConfig, tools: Tools): Promise<OpenVault> {
  let current = sealerOf(config);
  const sealer: Sealer = {
    seal: (plaintext, associated) => current.seal(plaintext, associated),
    open: (text, associated) => current.open(text, associated),
  };
  const store = await openStore(config.store, tools);
  return {
    ...createVault(store, sealer, createRun(tools.metrics, OPERATION_LIMIT_MS, tools.tracer)),
    withKeys(keys) {
      const next = sealerOf({ store: config.store, keys });
      return () => {
        current = next;
      };
    },
  };
}

async function openStore(store: string, tools: Tools): Promise<Store> {
  if (store === 'memory') return createMemoryStore(tools.clock);
  if (!store.startsWith('sqlite:')) return openRedisStore(store, tools.log);
  const path = store.slice('sqlite:'.length);
  try {
    return await openSqliteStore(path, tools);
  } catch (error) {
    throw new Error(`vault.store: ${path} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

export function sealerOf({ store, keys }: VaultConfig): Sealer {
  // What is kept in memory ends with the process, so may its key.
  if (keys.length === 0 && store === 'memory') return createSealer([{ id: 'process', key: randomBytes(32) }], 'vault');
  if (keys.length === 0) throw new Error('vault.keys must hold a key: grants outlive this process in that store');
  try {
    return createSealer(keys.map(sealKey), 'vault');
  } catch (error) {
    throw new Error(`vault.keys: ${(error as Error).message}`, { cause: error });
  }
}

function sealKey({ id, key }: VaultConfig['keys'][number]): SealKey {
  const bytes = decodeKey(key.reveal());
  if (!bytes) throw new Error(`"${id}" must be 32 bytes in base64, as \`openssl rand -base64 32\` prints them`);
  return { id, key: bytes };
}
