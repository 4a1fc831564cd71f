import type { Tools, UseOnce } from '../core/ports.ts';
import { needsVault } from '../upstream/accounts.ts';
import type { UpstreamProviderConfig, VaultConfig } from '../upstream/schema.ts';
import { type OpenVault, openVault } from '../upstream/vault/open.ts';
import type { Vault } from '../upstream/vault/vault.ts';

export interface VaultNeeds {
  readonly incomingAuth: Readonly<Record<string, { readonly type: string; readonly dpop?: string }>>;
  readonly upstreamProviders: Readonly<Record<string, UpstreamProviderConfig>>;
  readonly vault: VaultConfig;
}

/** What one configuration uses of the vaults that are open. */
export interface VaultUse {
  /** For grants; undefined without providers, or without keys to seal with. */
  readonly grants: Vault | undefined;
  /** Where used DPoP proofs are remembered. */
  readonly once: UseOnce;
  /** Why the service is not ready: undefined when the store answers, or is not used. */
  trouble(): Promise<string | undefined>;
  /** Puts the keys in use. */
  begin(): void;
}

/** Without DPoP nothing may be asked. */
const UNUSED: UseOnce = () => Promise.reject(new Error('no method checks proofs'));

/**
 * The open stores of the process. They are opened when a configuration needs them for the first time and stay open until
 * the end: what is in memory survives every change of the configuration, and no connection is opened twice.
 */
export class Vaults {
  readonly #tools: Tools;
  #main: { readonly store: string; readonly vault: OpenVault; begun: boolean } | undefined;
  /** Without vault keys: knows only the proofs that came to this process. */
  #proofs: Vault | undefined;

  constructor(tools: Tools) {
    this.#tools = tools;
  }

  /** The store that is in use, which nothing but a restart can change; one that was only tried binds nobody. */
  get store(): string | undefined {
    return this.#main?.begun ? this.#main.store : undefined;
  }

  /** @throws as `openVault` does */
  async use(config: VaultNeeds): Promise<VaultUse> {
    const { store, keys } = config.vault;
    const proven = Object.values(config.incomingAuth).some(({ dpop = 'off' }) => dpop !== 'off');
    const accounts = needsVault(config);
    const main = accounts || (proven && keys.length > 0) ? await this.#open(config.vault) : undefined;
    if (proven && !main) this.#proofs ??= await openVault({ store: 'memory', keys: [] }, this.#tools);
    if (proven && (!main || store === 'memory'))
      this.#tools.log.warn(
        'replays of DPoP proofs are noticed by this process only; replicas need a vault that they share',
      );
    // Proofs that were used before there were keys are remembered where they are.
    const memories = [main, this.#proofs].filter((one) => one !== undefined);
    const begin = main?.withKeys(keys);
    return {
      grants: accounts ? main : undefined,
      once: proven ? onceIn(memories) : UNUSED,
      trouble: async () =>
        main?.ping().then(
          () => undefined,
          () => 'the vault does not answer',
        ),
      begin: () => {
        if (main && this.#main) this.#main.begun = true;
        begin?.();
      },
    };
  }

  async close(): Promise<void> {
    await this.#main?.vault.close();
    await this.#proofs?.close();
  }

  async #open(config: VaultConfig): Promise<OpenVault> {
    if (this.#main && !this.#main.begun && this.#main.store !== config.store) {
      const { vault } = this.#main;
      this.#main = undefined;
      await vault.close(); // of a configuration that was rejected
    }
    this.#main ??= { store: config.store, vault: await openVault(config, this.#tools), begun: false };
    return this.#main.vault;
  }
}

/** The first time in all of them. */
function onceIn(memories: readonly Vault[]): UseOnce {
  return async (key, ttlMs, signal) => {
    for (const memory of memories) if (!(await memory.once(key, ttlMs, signal))) return false;
    return true;
  };
}
