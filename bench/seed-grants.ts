import { Secret } from '../src/core/secret.ts';
import { openVault } from '../src/upstream/vault/open.ts';
import { type TestKey, testTools, vaultConfig } from '../test/support/vault-tools.ts';
import { PROVIDER } from './variants.ts';

export interface Seeding {
  readonly store: string;
  readonly key: TestKey;
  readonly issuer: string;
  /** Users `user-0` up to this number get a grant. */
  readonly count: number;
  /** End of the access token of user `i`, milliseconds since the epoch; default: six hours from now. */
  readonly expiresAtMs?: (i: number) => number;
  readonly tell?: (done: number) => void;
}

/** Stored at the same time, so that waiting for the store overlaps. */
const AT_ONCE = 32;
const SIX_HOURS_MS = 6 * 60 * 60_000;

/** Connects accounts as the connect pages would: sealed, one by one, each acknowledged by the store. */
export async function seedGrants({ store, key, issuer, count, expiresAtMs, tell }: Seeding): Promise<void> {
  const vault = await openVault(vaultConfig(store, [key]), testTools());
  const nowMs = Date.now();
  const connect = (i: number) =>
    vault.create(
      { issuer, subject: `user-${i}`, provider: PROVIDER },
      {
        accessToken: new Secret(`upstream-${i}-${'x'.repeat(40)}`),
        refreshToken: new Secret(`refresh-${i}-0`),
        tokenType: 'Bearer',
        scopes: [],
        requestedScopes: [],
        expiresAtMs: expiresAtMs?.(i) ?? nowMs + SIX_HOURS_MS,
        issuedAtMs: nowMs,
        connectedAtMs: nowMs,
      },
    );
  try {
    for (let first = 0; first < count; first += AT_ONCE) {
      const users = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, i) => first + i);
      await Promise.all(users.map(connect));
      tell?.(first + users.length);
    }
  } finally {
    await vault.close();
  }
}
