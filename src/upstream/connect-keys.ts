import { createHash } from 'node:crypto';
import { decodeKey, type SealKey } from '../core/seal.ts';
import type { Secret } from '../core/secret.ts';

/**
 * `connect.cookieKeys`, which people write without ids. A key is named by its hash, so that the list can be
 * rearranged and every cookie still finds its key; 48 bits of a hash over 256 random bits give nothing away.
 * @throws when a key is not 32 bytes
 */
export function cookieSealKeys(secrets: readonly Secret[]): SealKey[] {
  const keys = new Map<string, SealKey>();
  for (const [index, secret] of secrets.entries()) {
    const key = decodeKey(secret.reveal());
    if (!key) throw new Error(`connect.cookieKeys[${index}] must be 32 bytes in base64`);
    const id = `k${createHash('sha256').update(key).digest('hex').slice(0, 12)}`;
    keys.set(id, { id, key });
  }
  return [...keys.values()];
}
