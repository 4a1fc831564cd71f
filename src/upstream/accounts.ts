import type { Audit, Keep, Tools } from '../core/ports.ts';
import type { Egress } from '../net/egress.ts';
import { startGrantCensus } from './grant-census.ts';
import { createProvider, type Provider } from './provider.ts';
import type { RefreshMemory } from './refresh-memory.ts';
import { createRefresher, type Refresher } from './refresher.ts';
import type { UpstreamProviderConfig, VaultConfig } from './schema.ts';
import type { Vault } from './vault/vault.ts';

/** The accounts of users at other services: what strategies and the connect pages work with. */
export interface Accounts {
  readonly vault: Vault;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly refresher: Refresher;
}

export interface AccountsConfig {
  readonly upstreamProviders: Readonly<Record<string, UpstreamProviderConfig>>;
  readonly vault: VaultConfig;
}

export interface AccountsParts {
  readonly vault: Vault;
  readonly memory: RefreshMemory;
  readonly keep: Keep;
  readonly egress: Egress;
  readonly tools: Tools;
  readonly audit: Audit;
  /** Tells this process from others. */
  readonly ownerId: string;
}

/** Whether there is something to keep in a vault: providers, and keys to seal with (V-01). */
export function needsVault({ upstreamProviders, vault }: AccountsConfig): boolean {
  return Object.keys(upstreamProviders).length > 0 && vault.keys.length > 0;
}

/** @throws when a provider cannot be used as configured; says why */
export function createAccounts({ upstreamProviders }: AccountsConfig, parts: AccountsParts): Accounts {
  const { vault, memory, keep, egress, tools, audit, ownerId } = parts;
  const providers = new Map(
    Object.entries(upstreamProviders).map(([name, config]) => [
      name,
      keep.take('provider', { name, config }, (own) => createProvider(name, config, own, egress)),
    ]),
  );
  keep.take(
    'grant census',
    upstreamProviders,
    (own) => startGrantCensus({ vault, providers, tools: own }),
    (census) => void census.close(),
  );
  return { vault, providers, refresher: createRefresher({ vault, providers, tools, audit, ownerId, memory }) };
}
