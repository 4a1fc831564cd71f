import { claimAt } from '../core/claims.ts';
import type { User } from '../core/identity.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import { Secret } from '../core/secret.ts';
import { type AttributeClaims, delegationChain, readAttributes } from './attribute-claims.ts';

type Claims = Readonly<Record<string, unknown>>;

/** What a method says about the claims of its tokens. */
export interface ClaimRules {
  readonly issuer: string;
  readonly subjectClaim: string;
  readonly scopeClaims: readonly string[];
  readonly attributeClaims: AttributeClaims;
}

/** In UTF-16 units. Any text is a subject (RFC 7519 4.1.2); what it goes into encodes it. */
const MAX_SUBJECT_LENGTH = 1024;

/** True for a text that can name a user. */
export function isSubject(text: string): boolean {
  return text !== '' && text.length <= MAX_SUBJECT_LENGTH && text.isWellFormed();
}

/** The user whom verified claims describe, or why they describe none. */
export function userFromClaims(
  claims: Claims,
  rules: ClaimRules,
  proof: {
    readonly authMethod: User['authMethod'];
    readonly methodName: string;
    readonly token: string;
    readonly expiresAt?: number;
    readonly boundTo?: string | undefined;
  },
): User | Refusal {
  const subject = claimAt(claims, rules.subjectClaim);
  if (typeof subject !== 'string' || !isSubject(subject)) {
    return refuse('token_claims', { detail: `${rules.subjectClaim} is no usable subject` });
  }
  const audiences = readAudiences(claims['aud']);
  if (!audiences) return refuse('token_claims', { detail: 'aud is neither a string nor a list of strings' });
  return {
    kind: 'user',
    issuer: rules.issuer,
    subject,
    authMethod: proof.authMethod,
    methodName: proof.methodName,
    claims,
    attributes: readAttributes(claims, rules.attributeClaims),
    scopes: readScopes(claims, rules.scopeClaims),
    delegationChain: delegationChain(claims),
    audiences,
    token: new Secret(proof.token),
    ...(proof.expiresAt === undefined ? {} : { expiresAt: proof.expiresAt }),
    ...(proof.boundTo === undefined ? {} : { boundTo: proof.boundTo }),
  };
}

/** RFC 7519 4.1.3; none is an empty list. */
function readAudiences(aud: unknown): readonly string[] | undefined {
  if (aud === undefined) return [];
  if (typeof aud === 'string') return [aud];
  return Array.isArray(aud) && aud.every((one) => typeof one === 'string') ? aud : undefined;
}

/** All that the named claims grant together: strings of RFC 6749 3.3 (separated by spaces), or lists of scopes. */
function readScopes(claims: Claims, names: readonly string[]): ReadonlySet<string> {
  const scopes = new Set<string>();
  for (const name of names) {
    const value = claimAt(claims, name);
    const items: unknown[] = typeof value === 'string' ? value.split(' ') : Array.isArray(value) ? value : [];
    for (const item of items) if (typeof item === 'string' && item !== '') scopes.add(item);
  }
  return scopes;
}
