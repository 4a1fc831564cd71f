import type { User } from '../core/identity.ts';
import type { AttributeClaims } from './attribute-claims.ts';
import { isRefusal } from './jwt-rules.ts';
import { userFromClaims } from './token-claims.ts';

/** Where the scopes of a caller without a token are read: the claims that access tokens use (RFC 9068 2.2.3, Entra ID). */
const SCOPE_CLAIMS = ['scope', 'scp'];

/** How a method that carries no token describes its callers. */
export interface TokenlessMethod {
  readonly name: string;
  readonly authMethod: User['authMethod'];
  readonly attributeClaims: AttributeClaims;
}

/**
 * A caller who proved who they are without a token. Nobody has issued them, so the method itself is their issuer
 * (contract §3).
 * @param claims what else is known about them; `sub` becomes `subject`, whatever stands there
 * @param expiresAt seconds since the epoch
 * @returns undefined when `subject` cannot name anybody: empty or too long
 */
export function tokenlessUser(
  subject: string,
  claims: Readonly<Record<string, unknown>>,
  method: TokenlessMethod,
  expiresAt?: number,
): User | undefined {
  const rules = {
    issuer: `urn:envoy-mcp-identity:${method.name}`,
    subjectClaim: 'sub',
    scopeClaims: SCOPE_CLAIMS,
    attributeClaims: method.attributeClaims,
  };
  const proof = { authMethod: method.authMethod, methodName: method.name, token: '' };
  // `aud` says who a token is for; here it is a claim like any other.
  const user = userFromClaims({ ...claims, sub: subject, aud: undefined }, rules, proof);
  if (isRefusal(user)) return undefined;
  const { token: _none, audiences: _nobody, ...rest } = user;
  return { ...rest, claims: { ...claims, sub: subject }, ...(expiresAt === undefined ? {} : { expiresAt }) };
}
