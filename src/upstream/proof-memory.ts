import type { Tools, UseOnce } from '../core/ports.ts';
import type { VaultConfig } from './schema.ts';
import { openVault } from './vault/open.ts';
import type { Vault } from './vault/vault.ts';

/** Where used DPoP proofs are remembered. */
export interface ProofMemory {
  readonly once: UseOnce;
  /** Why the service is not ready: undefined when the store answers. */
  trouble(): Promise<string | undefined>;
  close(): Promise<void>;
}

interface ProofMemoryConfig {
  readonly incomingAuth: Readonly<Record<string, { readonly type: string; readonly dpop?: string }>>;
  readonly vault: VaultConfig;
}

/** Without DPoP nothing is opened, and nothing may be asked. */
const UNUSED: ProofMemory = {
  once: () => Promise.reject(new Error('no method checks proofs')),
  trouble: async () => undefined,
  close: async () => {},
};

/**
 * The vault's store, which replicas share; without vault keys a store in this process, which knows only the proofs that
 * came to it.
 * @param vault the one that is open already, if any; it stays its owner's to close
 * @throws as `openVault` does
 */
export async function openProofMemory(
  { incomingAuth, vault: config }: ProofMemoryConfig,
  vault: Vault | undefined,
  tools: Tools,
): Promise<ProofMemory> {
  if (Object.values(incomingAuth).every(({ dpop = 'off' }) => dpop === 'off')) return UNUSED;
  const usable: VaultConfig = config.keys.length > 0 ? config : { store: 'memory', keys: [] };
  if (usable.store === 'memory')
    tools.log.warn('replays of DPoP proofs are noticed by this process only; replicas need a vault that they share');
  if (vault) return { ...UNUSED, once: (key, ttlMs, signal) => vault.once(key, ttlMs, signal) };
  const own = await openVault(usable, tools);
  return {
    once: (key, ttlMs, signal) => own.once(key, ttlMs, signal),
    trouble: () =>
      own.ping().then(
        () => undefined,
        () => 'the vault does not answer',
      ),
    close: () => own.close(),
  };
}
