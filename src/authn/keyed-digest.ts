import { createHmac, randomBytes } from 'node:crypto';

/** HMAC-SHA256 under a key that nobody knows. */
export type KeyedDigest = (value: string | Uint8Array) => Buffer;

/**
 * Makes names for secrets, to find them by in memory. The key is drawn anew each time and never leaves the closure, so
 * how long a look-up takes says nothing about the secret, and what stands in memory cannot be searched for offline
 * without the key.
 */
export function createKeyedDigest(): KeyedDigest {
  const key = randomBytes(32);
  return (value) => createHmac('sha256', key).update(value).digest();
}
