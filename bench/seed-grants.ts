import { Secret } from '../src/core/secret.ts';
import { openVault } from '../src/upstream/vault/open.ts';
import { type TestKey, testTools, vaultConfig } from '../test/support/vault-tools.ts';
import { PROVIDER } from './variants.ts';

/** Puts a grant that stays fresh into an SQLite vault, for each of the first `count` users. */
export async function seedGrants(file: string, key: TestKey, issuer: string, count: number): Promise<void> {
  const vault = await openVault(vaultConfig(`sqlite:${file}`, [key]), testTools());
  try {
    const nowMs = Date.now();
    for (let i = 0; i < count; i++)
      await vault.create(
        { issuer, subject: `user-${i}`, provider: PROVIDER },
        {
          accessToken: new Secret(`upstream-${i}-${'x'.repeat(40)}`),
          refreshToken: new Secret(`refresh-${i}`),
          tokenType: 'Bearer',
          scopes: [],
          requestedScopes: [],
          expiresAtMs: nowMs + 6 * 60 * 60_000,
          issuedAtMs: nowMs,
          connectedAtMs: nowMs,
        },
      );
  } finally {
    await vault.close();
  }
}
