import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Tools } from '../../core/ports.ts';
import type { VaultConfig } from '../schema.ts';
import { sealerOf } from './open.ts';
import { createRun, OPERATION_LIMIT_MS } from './operations.ts';
import { openRedisStore } from './redis.ts';
import { createVault } from './sealed-vault.ts';
import type { Store, StoredRecord } from './store.ts';
import { VaultError } from './vault-error.ts';
import type { Vault } from './vault.ts';

/**
 * The vault beside a running service, for a look that changes nothing: no file is made, no table, no lease.
 * @throws when it lives in the memory of the service, or cannot be used; says why
 */
export async function openVaultReadOnly(config: VaultConfig, tools: Tools): Promise<Pick<Vault, 'read' | 'close'>> {
  const { store: place } = config;
  if (place === 'memory') throw new Error('vault.store is memory: only the running service sees its grants');
  const sealer = sealerOf(config);
  const store = place.startsWith('sqlite:')
    ? await sqliteForReading(place.slice('sqlite:'.length))
    : await openRedisStore(place, tools.log);
  return createVault(readOnly(store), sealer, createRun(tools.metrics, OPERATION_LIMIT_MS));
}

type Readable = Pick<Store, 'read' | 'close'>;

function readOnly(store: Readable): Store {
  const refuse = () => Promise.reject(new VaultError('unavailable', 'the vault was opened for reading only'));
  return {
    read: (record) => store.read(record),
    close: () => store.close(),
    put: refuse,
    compareAndSet: refuse,
    delete: refuse,
    hold: refuse,
    letGo: refuse,
    ping: refuse,
    pages: () => {
      throw new VaultError('unavailable', 'the vault was opened for reading only');
    },
  };
}

async function sqliteForReading(path: string): Promise<Readable> {
  try {
    statSync(path);
    const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync(asItStands(path), { readOnly: true });
    const find = database.prepare('SELECT record, generation, provider, sealed FROM grants WHERE record = ?');
    return {
      read: async (record) => {
        return find.get(record) as unknown as StoredRecord | undefined;
      },
      close: async () => database.close(),
    };
  } catch (error) {
    throw new Error(`vault.store: ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Whoever reads a file that nobody has open makes its `-wal` and `-shm` anew, as its owner: a service of another user
 * could not write any more. Such a file is read as it is (https://sqlite.org/uri.html, immutable).
 * @throws when a service has ended without tidying up, and only its file would tell what was written last
 */
function asItStands(path: string): string | URL {
  const [log, index] = [existsSync(`${path}-wal`), existsSync(`${path}-shm`)];
  if (log && index) return path;
  if (log && statSync(`${path}-wal`).size > 0)
    throw new Error('it was not closed, and reading would make files; start the service first');
  const url = pathToFileURL(resolve(path));
  url.searchParams.set('immutable', '1');
  return url;
}
