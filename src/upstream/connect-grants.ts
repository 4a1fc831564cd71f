import type { Tools } from '../core/ports.ts';
import { createEgress } from '../net/egress.ts';
import { createConnectedAccounts, type Disconnected } from './connect-accounts.ts';
import { createProvider } from './provider.ts';
import type { UpstreamProviderConfig, VaultConfig } from './schema.ts';
import { openVault } from './vault/open.ts';
import type { ListedGrant, ListFilter, UnreadableGrant } from './vault/vault.ts';

/** What became of one grant; `not_asked`: the provider was left out on purpose, or is not configured any more. */
export interface Revoked {
  readonly existed: boolean;
  readonly revocation: Disconnected['revocation'] | 'not_asked';
}

/** The grants of all users, for people who help them. No method shows a token. */
export interface StoredGrants {
  list(filter: ListFilter): AsyncIterable<ListedGrant | UnreadableGrant>;
  /** @param tell whether the provider is told; the grant goes in any case */
  revoke(listed: ListedGrant | UnreadableGrant, tell: boolean): Promise<Revoked>;
  close(): Promise<void>;
}

/**
 * Opens the vault beside the running service, which notices within seconds what has gone.
 * @throws when the vault or a provider cannot be used as configured, or the vault lives in the service's memory
 */
export async function openStoredGrants(
  config: {
    readonly upstreamProviders: Readonly<Record<string, UpstreamProviderConfig>>;
    readonly vault: VaultConfig;
  },
  tools: Tools,
): Promise<StoredGrants> {
  if (config.vault.store === 'memory')
    throw new Error('vault.store is memory: only the running service sees its grants, and they end with it');
  const egress = createEgress(tools);
  const entries = Object.entries(config.upstreamProviders);
  const providers = new Map(entries.map(([name, provider]) => [name, createProvider(name, provider, tools, egress)]));
  const vault = await openVault(config.vault, tools);
  const accounts = createConnectedAccounts({ vault, providers, onChanged: () => {}, clock: tools.clock });
  return {
    list: (filter) => vault.list(filter),
    async revoke(listed, tell) {
      const provider = providers.get(listed.provider);
      if (listed.kind === 'grant' && tell && provider) return accounts.disconnect(listed, provider);
      return { existed: await vault.deleteRecord(listed.record), revocation: 'not_asked' };
    },
    close: () => vault.close(),
  };
}
