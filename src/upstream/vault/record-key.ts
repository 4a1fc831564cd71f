import { createHash } from 'node:crypto';
import type { GrantKey } from './vault.ts';

/** The name of a grant's record: a hash, because issuer and subject are personal data. */
export function recordKeyOf(key: GrantKey): string {
  return hashOf('grant', key.issuer, key.subject, key.provider);
}

/** SHA-256, base64url, over the texts, each behind its length: (ab, c) and (a, bc) differ. */
export function hashOf(...texts: readonly string[]): string {
  const hash = createHash('sha256');
  const length = Buffer.alloc(4);
  for (const text of texts) {
    length.writeUInt32BE(Buffer.byteLength(text, 'utf8'));
    hash.update(length).update(text, 'utf8');
  }
  return hash.digest('base64url');
}
