import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto';
import type { Secret } from '../core/secret.ts';

/** A key of `signing.keys`. */
export type SigningKey =
  | { readonly id: string; readonly alg: 'ES256' | 'EdDSA' | 'RS256'; readonly privateKey: Secret }
  | { readonly id: string; readonly alg: 'HS256'; readonly secret: Secret };

export interface SigningConfig {
  readonly current: { readonly jws?: string | undefined; readonly hmac?: string | undefined };
  readonly keys: readonly SigningKey[];
}

/** Makes a compact JWS (RFC 7515 3.1) of these claims. */
export type Sign = (claims: Readonly<Record<string, unknown>>) => string;

export interface Signers {
  /** With the current asymmetric key; undefined where none is configured. */
  readonly jws: Sign | undefined;
  /** With the key of that backend, derived from the current HS256 secret; undefined where none is configured. */
  readonly hmac: ((backend: string) => Sign) | undefined;
  /** RFC 7517: every asymmetric key, so that a new one is known before it signs and an old one after. */
  readonly publicKeys: readonly JsonWebKey[];
}

/** @throws when a key cannot be read or does not fit its algorithm; validation says so first (V-17) */
export function createSigners({ current, keys }: SigningConfig): Signers {
  const named = (id: string | undefined) => keys.find((key) => key.id === id);
  const jwsKey = named(current.jws);
  const hmacKey = named(current.hmac);
  return {
    jws: jwsKey && jwsKey.alg !== 'HS256' ? asymmetric(jwsKey) : undefined,
    hmac: hmacKey?.alg === 'HS256' ? (backend) => hs256(hmacKey.id, backendKey(hmacKey.secret, backend)) : undefined,
    publicKeys: keys.flatMap((key) => (key.alg === 'HS256' ? [] : [publicJwk(key)])),
  };
}

/**
 * The key with which one backend verifies HS256 assertions: HKDF-SHA256 (RFC 5869) of the secret, empty salt. One
 * backend's key says nothing about another's.
 * @returns 32 bytes
 */
export function backendKey(secret: Secret, backend: string): Buffer {
  const text = secret.reveal();
  if (text === '') throw new Error('the signing secret is empty');
  return Buffer.from(
    hkdfSync('sha256', Buffer.from(text, 'utf8'), Buffer.alloc(0), `envoy-mcp-identity/hmac/v1/${backend}`, 32),
  );
}

function asymmetric({ id, alg, privateKey }: Extract<SigningKey, { privateKey: Secret }>): Sign {
  const key = createPrivateKey(privateKey.reveal());
  const algorithm = alg === 'EdDSA' ? null : 'sha256';
  // RFC 7518 3.4: ES256 is R || S, not DER.
  const input = alg === 'ES256' ? { key, dsaEncoding: 'ieee-p1363' as const } : { key };
  return compact(alg, id, (text) => sign(algorithm, Buffer.from(text, 'ascii'), input));
}

function hs256(id: string, key: Buffer): Sign {
  return compact('HS256', id, (text) => createHmac('sha256', key).update(text, 'ascii').digest());
}

function compact(alg: string, kid: string, signature: (text: string) => Buffer): Sign {
  const header = base64url({ alg, kid, typ: 'JWT' });
  return (claims) => {
    const text = `${header}.${base64url(claims)}`;
    return `${text}.${signature(text).toString('base64url')}`;
  };
}

function base64url(value: unknown): string {
  return Buffer.from(JSON.stringify(value), 'utf8').toString('base64url');
}

function publicJwk({ id, alg, privateKey }: Extract<SigningKey, { privateKey: Secret }>): JsonWebKey {
  const key: KeyObject = createPublicKey(privateKey.reveal());
  return { ...key.export({ format: 'jwk' }), kid: id, alg, use: 'sig' };
}
