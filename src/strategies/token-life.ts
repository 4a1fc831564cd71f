import { decodeJwt, type JWTPayload } from 'jose';

/** A token is given up this long before its end, in milliseconds, or a fifth of its life before, if that is shorter. */
const MARGIN_MS = 30_000;
/** A token whose end nobody knows is used for this long, in milliseconds. */
const UNKNOWN_LIFE_MS = 60_000;

/** The claims of a token in the form of a JWT, unverified; undefined for every other form. */
export function claimsOf(token: string): JWTPayload | undefined {
  try {
    return decodeJwt(token);
  } catch {
    return undefined;
  }
}

/**
 * How long an issued token may be handed out.
 * @param expiresInSeconds `expires_in` of the answer (RFC 6749 5.1); the `exp` of a JWT counts as well, the earlier wins
 * @param sentAtMs when it was asked for
 */
export function lifeOf(
  token: string,
  expiresInSeconds: number | undefined,
  sentAtMs: number,
): { readonly untilMs: number; readonly endMs: number } {
  const exp = claimsOf(token)?.exp;
  const told = [
    ...(expiresInSeconds === undefined ? [] : [sentAtMs + expiresInSeconds * 1_000]),
    ...(typeof exp === 'number' ? [exp * 1_000] : []),
  ];
  if (told.length === 0) return { untilMs: sentAtMs + UNKNOWN_LIFE_MS, endMs: Infinity };
  const endMs = Math.min(...told);
  return { untilMs: endMs - Math.min(MARGIN_MS, Math.max(0, endMs - sentAtMs) / 5), endMs };
}
