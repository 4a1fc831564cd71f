import type { User } from '../core/identity.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import { type DpopMode, readBoundKey } from './bound-key.ts';
import { isRefusal } from './jwt-rules.ts';
import { type ClaimRules, userFromClaims } from './token-claims.ts';

/** Our clock may be this far behind the issuer's, which calls a token active that we take for one of the future. */
const SKEW_MS = 5_000;

/**
 * Judges the answer of an introspection endpoint (RFC 7662 2.2): the user it describes, or why the token is not good.
 * `username` and `client_id` never stand in for the subject.
 * @param answer a JSON object whose `active` is a boolean
 */
export function judgeIntrospection(
  answer: Readonly<Record<string, unknown>>,
  rules: ClaimRules & { readonly dpop: DpopMode },
  { methodName, token, nowMs }: { readonly methodName: string; readonly token: string; readonly nowMs: number },
): User | Refusal {
  const { active, ...claims } = answer;
  const { iss, exp, nbf, token_type: type, token_use: use, cnf } = claims;
  if (active !== true) return refuse('token_inactive');
  if (iss !== undefined && iss !== rules.issuer) return refuse('token_issuer');
  const bound = readBoundKey(cnf, rules.dpop);
  if (isRefusal(bound)) return bound;
  // RFC 9449 6.2: servers say DPoP of tokens that are bound. Without a key nothing can be checked.
  const saysDpop = isText(type, 'dpop');
  if (saysDpop && bound.thumbprint === undefined) return refuse('token_sender_constrained');
  if (type !== undefined && !saysDpop && !isText(type, 'bearer')) return refuse('token_type');
  // RFC 7662 2: refresh tokens can be introspected too. Servers that say which it is say it here.
  if (isText(use, 'refresh_token') || isText(use, 'refresh')) return refuse('token_type');
  if (exp !== undefined && !isNumericDate(exp)) return refuse('token_claims', { detail: 'exp is not a number' });
  if (nbf !== undefined && !isNumericDate(nbf)) return refuse('token_claims', { detail: 'nbf is not a number' });
  if (exp !== undefined && nowMs >= exp * 1_000) return refuse('token_expired');
  if (nbf !== undefined && nowMs < nbf * 1_000 - SKEW_MS) return refuse('token_not_yet_valid');
  const proof = { authMethod: 'introspection' as const, methodName, token, boundTo: bound.thumbprint };
  return userFromClaims(claims, rules, exp === undefined ? proof : { ...proof, expiresAt: exp });
}

function isText(value: unknown, word: string): boolean {
  return typeof value === 'string' && value.toLowerCase() === word;
}

/** Infinity is what JSON.parse makes of 1e999. */
function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
