import { generateKeyPairSync, randomBytes } from 'node:crypto';

/** An RS256 key as oidc-provider takes it; made at start, kept nowhere. */
export function newSigningKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = privateKey.export({ format: 'jwk' });
  return { ...key, kty: 'RSA', use: 'sig' as const, alg: 'RS256' as const, kid: randomBytes(8).toString('hex') };
}
