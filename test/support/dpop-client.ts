import { createHash, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, CompactSign, type CryptoKey, exportJWK, generateKeyPair, type JWK } from 'jose';

export interface ProofOptions {
  /** Replace claims; undefined leaves one out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Replace header members; undefined leaves one out. */
  readonly header?: Readonly<Record<string, unknown>>;
  /** Sign with this one instead. */
  readonly key?: CryptoKey | Uint8Array;
  readonly nowMs?: number;
}

/** A client with a key of its own (RFC 9449). */
export interface DpopClient {
  readonly jwk: JWK;
  readonly privateJwk: JWK;
  readonly privateKey: CryptoKey;
  /** Of the key: what `cnf.jkt` of its tokens says. */
  readonly thumbprint: string;
  /** A proof for one request with `token`. */
  proof(method: string, url: string, token: string, options?: ProofOptions): Promise<string>;
  /** Header lines of a request with a fresh proof. */
  headers(method: string, url: string, token: string, options?: ProofOptions): Promise<string[]>;
}

export async function dpopClient(alg = 'ES256'): Promise<DpopClient> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(publicKey);
  const proof: DpopClient['proof'] = (method, url, token, options = {}) => {
    const claims = {
      jti: randomUUID(),
      htm: method,
      htu: url,
      iat: Math.floor((options.nowMs ?? Date.now()) / 1_000),
      ath: createHash('sha256').update(token, 'ascii').digest('base64url'),
      ...options.claims,
    };
    const { crit, ...header } = { typ: 'dpop+jwt', alg, jwk, crit: undefined, ...options.header };
    const known = crit === undefined ? {} : { crit };
    return new CompactSign(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ ...header, ...known })
      .sign(
        options.key ?? privateKey,
        crit === undefined ? {} : { crit: Object.fromEntries((crit as string[]).map((name) => [name, true])) },
      );
  };
  return {
    jwk,
    privateJwk: await exportJWK(privateKey),
    privateKey,
    thumbprint: await calculateJwkThumbprint(jwk),
    proof,
    headers: async (method, url, token, options) => [
      'Authorization',
      `DPoP ${token}`,
      'DPoP',
      await proof(method, url, token, options),
    ],
  };
}
