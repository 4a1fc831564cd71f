import { claimAt } from '../core/claims.ts';
import type { HeaderPair } from '../core/header-edits.ts';
import type { User } from '../core/identity.ts';
import { encodeValue } from '../core/encode.ts';
import type { OutgoingAuthOf } from './schema.ts';
import { NOTHING, type OutgoingStrategy } from './strategy.ts';

/** Claims of the user as headers; nothing for anonymous callers (R2). */
export function createClaimInjection(policy: OutgoingAuthOf<'claim_injection'>): OutgoingStrategy {
  const mapping = Object.entries(policy.claimInjection.claims).map(
    ([path, header]) => [path, header.toLowerCase()] as const,
  );
  const headersOf = (user: User): HeaderPair[] => {
    const headers: HeaderPair[] = [];
    for (const [path, header] of mapping) {
      // `sub` is the identity, also where `subjectClaim` took it from another claim or there was no token at all.
      const text = encodeValue(path === 'sub' ? user.subject : claimAt(user.claims, path));
      if (text !== undefined) headers.push([header, text]);
    }
    return headers;
  };
  return {
    credential: (identity) => (identity.kind === 'user' ? { kind: 'write', headers: headersOf(identity) } : NOTHING),
  };
}
