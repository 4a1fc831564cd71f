import { randomBytes } from 'node:crypto';
import type { Audit, Tools } from '../core/ports.ts';
import type { Egress } from '../net/egress.ts';
import { startGrantCensus } from './grant-census.ts';
import { createProvider, type Provider } from './provider.ts';
import { createRefresher, type Refresher } from './refresher.ts';
import type { UpstreamProviderConfig, VaultConfig } from './schema.ts';
import { openVault } from './vault/open.ts';
import type { Vault } from './vault/vault.ts';

/** The accounts of users at other services: what strategies and the connect pages work with. */
export interface Accounts {
  readonly vault: Vault;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly refresher: Refresher;
  /** Why the service is not ready: undefined when the vault answers. */
  trouble(): Promise<string | undefined>;
  /** Ends what is under way, then the vault. */
  close(): Promise<void>;
}

export interface AccountsConfig {
  readonly upstreamProviders: Readonly<Record<string, UpstreamProviderConfig>>;
  readonly vault: VaultConfig;
}

/**
 * Opens the vault, where there is something to keep in it.
 * @returns undefined without providers, or without keys to seal with (V-01)
 * @throws when the vault or a provider cannot be used as configured; says why
 */
export async function openAccounts(
  config: AccountsConfig,
  tools: Tools,
  audit: Audit,
  egress: Egress,
): Promise<Accounts | undefined> {
  const entries = Object.entries(config.upstreamProviders);
  if (entries.length === 0 || config.vault.keys.length === 0) return undefined;
  const providers = new Map(entries.map(([name, provider]) => [name, createProvider(name, provider, tools, egress)]));
  const vault = await openVault(config.vault, tools);
  const ownerId = `${process.pid}-${randomBytes(6).toString('base64url')}`;
  const refresher = createRefresher({ vault, providers, tools, audit, ownerId });
  const census = startGrantCensus({ vault, providers, tools });
  return {
    vault,
    providers,
    refresher,
    trouble: () =>
      vault.ping().then(
        () => undefined,
        () => 'the vault does not answer',
      ),
    async close() {
      await Promise.all([refresher.close(), census.close()]);
      await vault.close();
    },
  };
}
