import { hash } from 'node:crypto';
import { calculateJwkThumbprint, compactVerify, type CryptoKey, importJWK, type JWK } from 'jose';
import { LRUCache } from 'lru-cache';
import { readCompactJws } from './compact-jws.ts';
import { normalUrl } from './dpop-url.ts';
import { SIGNATURE_ALGORITHMS } from './schema.ts';

/** How old a proof may be. */
export const MAX_AGE_MS = 60_000;
/** How far the client's clock may be ahead of ours. */
export const MAX_AHEAD_MS = 5_000;

/** Room for an RSA key of 4096 bits, its signature and a long URL. */
const MAX_PROOF_LENGTH = 8 * 1024;
const MAX_JTI_LENGTH = 512;
const MAX_KEYS = 10_000;

const ALGORITHMS: ReadonlySet<string> = new Set(SIGNATURE_ALGORITHMS);
/** RFC 7518 6, RFC 8037 2: members of private and of symmetric keys. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** What a proof has to be about. */
export interface ProofDemand {
  readonly method: string;
  /** As `normalUrl` writes it; undefined when the request has no URL that could be proven. */
  readonly url: string | undefined;
  readonly token: string;
  /** Thumbprint of the key that the token is bound to. */
  readonly boundTo: string;
  readonly nowMs: number;
}

export type ProofFinding =
  | { readonly kind: 'right'; readonly jti: string; readonly nonce: unknown }
  /** `fault` is one of a fixed number of texts, for the log. */
  | { readonly kind: 'wrong'; readonly fault: string };

export type JudgeProof = (proof: string, demand: ProofDemand) => Promise<ProofFinding>;

const wrong = (fault: string): ProofFinding => ({ kind: 'wrong', fault });

/**
 * Judges DPoP proofs by RFC 9449 4.3, all but the nonce and whether they were used before. The key comes from the proof
 * itself, so it is compared with that of the token before anything is computed with it: keys that outsiders make up cost
 * a hash. Keys that were imported are remembered by their thumbprint, which stands for every member that is read of them.
 */
export function createProofJudge(): JudgeProof {
  const keys = new LRUCache<string, CryptoKey>({ max: MAX_KEYS });

  return async (proof, demand) => {
    const jws = proof.length <= MAX_PROOF_LENGTH ? readCompactJws(proof) : undefined;
    if (!jws) return wrong('it is no JWT, or too long');
    const { typ, alg, jwk, crit } = jws.header;
    if (typ !== 'dpop+jwt') return wrong('typ is not dpop+jwt');
    if (typeof alg !== 'string' || !ALGORITHMS.has(alg)) return wrong('alg is not accepted');
    // RFC 7515 4.1.11: what is listed must be understood, and we understand no extension.
    if (crit !== undefined) return wrong('crit asks for an extension');
    if (typeof jwk !== 'object' || jwk === null || PRIVATE_MEMBERS.some((member) => Object.hasOwn(jwk, member)))
      return wrong('jwk is not a public key');
    const publicKey = publicMembers(jwk);
    const thumbprint = await thumbprintOf(publicKey);
    if (thumbprint === undefined) return wrong('jwk is not a public key');
    if (thumbprint !== demand.boundTo) return wrong('the token is bound to another key');

    const fault = claimsFault(jws.payload, demand);
    if (fault !== undefined) return wrong(fault);
    const name = `${alg} ${thumbprint}`;
    try {
      const key = keys.get(name) ?? ((await importJWK(publicKey, alg)) as CryptoKey);
      await compactVerify(proof, key, { algorithms: [alg] });
      keys.set(name, key);
    } catch {
      return wrong('the signature is wrong, or the key does not fit alg');
    }
    return { kind: 'right', jti: jws.payload['jti'] as string, nonce: jws.payload['nonce'] };
  };
}

/** What RFC 7638 3.2 hashes: nothing else of the key is used. */
function publicMembers({ kty, crv, x, y, e, n }: JWK): JWK {
  if (kty === 'RSA') return { kty, e, n } as JWK;
  return (kty === 'OKP' ? { kty, crv, x } : { kty, crv, x, y }) as JWK;
}

async function thumbprintOf(jwk: JWK): Promise<string | undefined> {
  try {
    return await calculateJwkThumbprint(jwk);
  } catch {
    return undefined;
  }
}

function claimsFault(claims: Readonly<Record<string, unknown>>, demand: ProofDemand): string | undefined {
  const { jti, htm, htu, iat, ath } = claims;
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_LENGTH) return 'jti is missing or no usable text';
  if (htm !== demand.method) return 'htm is another method';
  if (typeof htu !== 'string' || demand.url === undefined || normalUrl(htu) !== demand.url) return 'htu is another URL';
  if (typeof iat !== 'number' || !Number.isFinite(iat)) return 'iat is not a number';
  const ageMs = demand.nowMs - iat * 1_000;
  if (ageMs > MAX_AGE_MS) return 'iat is too long ago';
  if (ageMs < -MAX_AHEAD_MS) return 'iat lies in the future';
  return ath === hash('sha256', demand.token, 'base64url') ? undefined : 'ath is of another token';
}
