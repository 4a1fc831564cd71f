import type { Clock } from '../core/ports.ts';
import { covers, isFrom } from './grant-life.ts';
import type { UserKey } from './connect-state.ts';
import type { Provider } from './provider.ts';
import type { ProviderFault } from './provider-failure.ts';
import { VaultError } from './vault/vault-error.ts';
import type { Grant, GrantContent, GrantKey, Vault } from './vault/vault.ts';

/** What the person sees of an account; never a token. Times are milliseconds since the epoch. */
export type Account = { readonly provider: string } & (
  | { readonly kind: 'missing' }
  | {
      readonly kind: 'connected';
      readonly sinceMs: number;
      readonly scopes: readonly string[];
      readonly refreshedAtMs: number | undefined;
      /** Why calls do not work until it is connected again. */
      readonly ended: 'scopes_changed' | 'expired' | undefined;
    }
  /** There is a record that does not open with the keys we have. */
  | { readonly kind: 'unreadable' }
);

export interface Disconnected {
  /** Whether there was anything. */
  readonly existed: boolean;
  /** How the end of the access was told to the provider; `none`: there was nothing to tell; `provider_changed`: to whom is unknown. */
  readonly revocation: 'revoked' | 'unsupported' | 'none' | 'unreadable' | 'provider_changed' | ProviderFault;
}

/** What people do with their accounts. Every method throws VaultError when the vault cannot be used. */
export interface ConnectedAccounts {
  /** One entry per provider, in the order of the configuration. */
  list(user: UserKey, signal: AbortSignal): Promise<Account[]>;
  find(user: UserKey, provider: string, signal: AbortSignal): Promise<Account>;
  connect(user: UserKey, provider: string, content: GrantContent, signal: AbortSignal): Promise<void>;
  /** Revokes at the provider, then deletes; a provider that does not revoke keeps nothing here alive. */
  disconnect(user: UserKey, provider: Pick<Provider, 'name' | 'revoke' | 'issuedBy'>): Promise<Disconnected>;
}

export interface ConnectedAccountsParts {
  readonly vault: Vault;
  readonly providers: ReadonlyMap<string, Pick<Provider, 'scopes' | 'issuedBy'>>;
  /** Told after every change, so that nothing in memory outlives it. */
  readonly onChanged: (key: GrantKey) => void;
  readonly clock: Clock;
  /** For all calls of one disconnect to the provider. */
  readonly revocationLimitMs?: number;
}

const REVOCATION_LIMIT_MS = 5_000;
/** A refresh may store a newer grant between our look and our deletion; then that one is revoked too. */
const MAX_ROUNDS = 3;

export function createConnectedAccounts(parts: ConnectedAccountsParts): ConnectedAccounts {
  const { vault, providers, onChanged, clock, revocationLimitMs = REVOCATION_LIMIT_MS } = parts;
  const keyOf = ({ issuer, subject }: UserKey, provider: string): GrantKey => ({ issuer, subject, provider });

  const find = async (user: UserKey, provider: string, signal: AbortSignal): Promise<Account> => {
    const grant = await readable(vault, keyOf(user, provider), signal);
    if (grant === 'unreadable') return { provider, kind: 'unreadable' };
    if (!grant) return { provider, kind: 'missing' };
    const { connectedAtMs: sinceMs, scopes, refreshedAtMs } = grant;
    const ended = endOf(grant, providers.get(provider) ?? { scopes: [] }, clock.nowMs());
    return { provider, kind: 'connected', sinceMs, scopes, refreshedAtMs, ended };
  };

  return {
    find,
    list: (user, signal) => Promise.all([...providers.keys()].map((provider) => find(user, provider, signal))),

    async connect(user, provider, content, signal) {
      const key = keyOf(user, provider);
      // A grant of before is not revoked: some providers would end the new one with it.
      try {
        await vault.create(key, content, signal);
      } finally {
        onChanged(key);
      }
    },

    async disconnect(user, provider) {
      const key = keyOf(user, provider.name);
      const limit = AbortSignal.timeout(revocationLimitMs);
      let revocation: Disconnected['revocation'] = 'none';
      try {
        for (let round = 0; round < MAX_ROUNDS; round++) {
          const grant = await readable(vault, key);
          if (!grant) return { existed: round > 0, revocation };
          if (grant === 'unreadable') {
            revocation = 'unreadable';
            break;
          }
          if (isFrom(grant, provider)) {
            const outcome = await provider.revoke(grant, limit);
            revocation = outcome.kind === 'failed' ? outcome.fault : outcome.kind;
          } else revocation = 'provider_changed'; // its tokens are none of the present server's business
          if (await vault.deleteIf(key, grant.generation)) return { existed: true, revocation };
        }
        return { existed: await vault.delete(key), revocation };
      } finally {
        onChanged(key);
      }
    },
  };
}

async function readable(vault: Vault, key: GrantKey, signal?: AbortSignal): Promise<Grant | 'unreadable' | undefined> {
  try {
    return await vault.read(key, signal);
  } catch (error) {
    if (error instanceof VaultError && error.code !== 'unavailable') return 'unreadable';
    throw error;
  }
}

/** As the refresher judges it. */
function endOf(
  grant: Grant,
  provider: Pick<Provider, 'scopes' | 'issuedBy'>,
  nowMs: number,
): 'scopes_changed' | 'expired' | undefined {
  if (!isFrom(grant, provider)) return 'expired'; // nothing can refresh it
  if (!covers(grant, provider.scopes)) return 'scopes_changed';
  if (grant.refreshToken) return undefined;
  return grant.stale || (grant.expiresAtMs ?? Infinity) <= nowMs ? 'expired' : undefined;
}
