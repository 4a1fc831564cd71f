import { createLocalJWKSet, type CryptoKey, type JSONWebKeySet } from 'jose';

/** More keys than any issuer rotates through; bounds the work that a token without `kid` can cause. */
const MAX_CANDIDATES = 16;

/** The public keys of one JWK Set (RFC 7517 5), read by jose. A key that cannot be used is as good as none. */
export class LocalKeys {
  /** Equal for sets of the same keys, in whatever order. */
  readonly fingerprint: string;
  readonly #lookUp: ReturnType<typeof createLocalJWKSet>;

  /** @throws when `jwks` has not the form of a JWK Set */
  constructor(jwks: unknown) {
    this.#lookUp = createLocalJWKSet(jwks as JSONWebKeySet);
    this.fingerprint = (jwks as JSONWebKeySet).keys
      .map((key) => JSON.stringify(key))
      .sort()
      .join('\n');
  }

  /** The keys that may have made a signature with this algorithm; all that fit when there is no `kid`. */
  async find(alg: string, kid: string | undefined): Promise<readonly CryptoKey[]> {
    const found: CryptoKey[] = [];
    try {
      found.push(await this.#lookUp(kid === undefined ? { alg } : { alg, kid }));
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ERR_JWKS_MULTIPLE_MATCHING_KEYS') return found;
      for await (const key of error as AsyncIterable<CryptoKey>) if (found.push(key) === MAX_CANDIDATES) break;
    }
    return found.filter(isStrong);
  }
}

/** RFC 7518 3.3: RSA keys have 2048 bits or more. */
function isStrong(key: CryptoKey): boolean {
  const { modulusLength } = key.algorithm as { modulusLength?: number };
  return modulusLength === undefined || modulusLength >= 2048;
}
