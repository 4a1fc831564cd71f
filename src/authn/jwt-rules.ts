import { isDeepStrictEqual } from 'node:util';
import { claimAt } from '../core/claims.ts';
import { type Refusal, refuse } from '../core/refusal.ts';

type Fields = Readonly<Record<string, unknown>>;

/** The part of a JWT header that chooses the key. */
export interface SignatureHeader {
  readonly alg: string;
  readonly kid: string | undefined;
}

/** When a token may be used, the clock skew included: from (inclusive) and until (exclusive), milliseconds since the epoch. */
export interface Validity {
  readonly fromMs: number;
  readonly untilMs: number;
}

export function isRefusal(value: object): value is Refusal {
  return 'reason' in value;
}

/** Media types of RFC 7515 4.1.9: compared without case, `application/` left out; a missing `typ` means JWT. */
export function tokenType(typ: string): string {
  return typ.toLowerCase().replace(/^application\//, '');
}

/**
 * Judges all of the header that needs no key.
 * @param types as `tokenType` gives them
 */
export function judgeHeader(
  header: Fields,
  algorithms: ReadonlySet<string>,
  types: ReadonlySet<string>,
): SignatureHeader | Refusal {
  const { alg, typ = 'JWT', kid, crit } = header;
  if (typeof alg !== 'string' || !algorithms.has(alg)) return refuse('token_algorithm');
  if (typeof typ !== 'string' || !types.has(tokenType(typ))) return refuse('token_type');
  // RFC 7515 4.1.11: what is listed must be understood, and we understand no extension.
  if (crit !== undefined) return refuse('token_malformed', { detail: 'crit asks for an extension' });
  if (kid !== undefined && typeof kid !== 'string') return refuse('token_malformed', { detail: 'kid is not a string' });
  return { alg, kid };
}

/** RFC 7519 4.1.4 and 4.1.5, with `exp` required (RFC 9068 2.2). `iat` says nothing about validity; only its type is checked. */
export function readValidity(payload: Fields, skewMs: number): Validity | Refusal {
  const { exp, nbf, iat } = payload;
  if (!isNumericDate(exp))
    return refuse('token_claims', { detail: exp === undefined ? 'exp is missing' : 'exp is not a number' });
  if (nbf !== undefined && !isNumericDate(nbf)) return refuse('token_claims', { detail: 'nbf is not a number' });
  if (iat !== undefined && !isNumericDate(iat)) return refuse('token_claims', { detail: 'iat is not a number' });
  return { fromMs: nbf === undefined ? -Infinity : nbf * 1_000 - skewMs, untilMs: exp * 1_000 + skewMs };
}

/** Infinity is what JSON.parse makes of 1e999. */
function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

export function judgeTime(validity: Validity, nowMs: number): Refusal | undefined {
  if (nowMs >= validity.untilMs) return refuse('token_expired');
  if (nowMs < validity.fromMs) return refuse('token_not_yet_valid');
  return undefined;
}

/** @param required claim path → the value it must have, or have among its elements */
export function judgeRequired(payload: Fields, required: Fields): Refusal | undefined {
  for (const [path, expected] of Object.entries(required)) {
    const value = claimAt(payload, path);
    const holds =
      isDeepStrictEqual(value, expected) ||
      (Array.isArray(value) && value.some((item) => isDeepStrictEqual(item, expected)));
    if (!holds) return refuse('token_claims', { detail: `${path} has not the required value` });
  }
  return undefined;
}
