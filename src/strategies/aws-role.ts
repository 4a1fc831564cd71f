import { hash } from 'node:crypto';
import { claimAt } from '../core/claims.ts';
import type { User } from '../core/identity.ts';
import type { OutgoingAuthOf } from './schema.ts';

type AwsStsPolicy = OutgoingAuthOf<'aws_sts'>['awsSts'];

/** STS AssumeRoleWithWebIdentity, RoleSessionName: `[\w+=,.@-]*`, 2 to 64 characters. */
const FOREIGN = /[^\w+=,.@-]/g;
const MAX_SESSION_NAME = 64;
const MIN_SESSION_NAME = 2;
/** Characters of the digest that keeps changed names apart: 60 bits. */
const DIGEST_LENGTH = 10;
/** A name that looks as if it ended in a digest gets one of its own, or it could be made to look like another's. */
const MARKED = /=[\w.]{10}$/;

/**
 * Prepares the choice of a role: of the mappings that match, the one with the lowest priority, the first of equals.
 * @returns a function that gives undefined where no mapping matches and there is no fallback
 */
export function prepareRoles({
  roleMappings,
  fallbackRoleArn,
}: Pick<AwsStsPolicy, 'roleMappings' | 'fallbackRoleArn'>): (user: User) => string | undefined {
  const ordered = [...roleMappings].sort((a, b) => a.priority - b.priority); // stable: the order of the policy on ties
  return (user) => ordered.find(({ claim, value }) => matches(claimOf(user, claim), value))?.roleArn ?? fallbackRoleArn;
}

/**
 * The name that CloudTrail shows for the session. What AWS does not allow becomes `-`; a name that was changed or cut
 * ends in `=` and a digest of the original, so that two people never look like one.
 * @param claim the subject stands in for a claim that the user lacks, or that is no text
 */
export function sessionNameOf(user: User, claim: string): string {
  const value = claimOf(user, claim);
  const text =
    typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : user.subject;
  const allowed = text.replaceAll(FOREIGN, '-');
  const fits = text.length >= MIN_SESSION_NAME && text.length <= MAX_SESSION_NAME;
  if (allowed === text && fits && !MARKED.test(text)) return text;
  const digest = hash('sha256', text, 'base64url').replaceAll('-', '.').slice(0, DIGEST_LENGTH);
  return `${allowed.slice(0, MAX_SESSION_NAME - DIGEST_LENGTH - 1)}=${digest}`;
}

/** `sub` is the identity, also where `subjectClaim` took it from another claim or there was no token at all. */
function claimOf(user: User, path: string): unknown {
  return path === 'sub' ? user.subject : claimAt(user.claims, path);
}

function matches(claim: unknown, value: string): boolean {
  const items: unknown[] = Array.isArray(claim) ? claim : [claim];
  return items.some(
    (item) => item === value || ((typeof item === 'number' || typeof item === 'boolean') && String(item) === value),
  );
}
