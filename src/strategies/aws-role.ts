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
 * ends in `=` and a digest of what it stands for, so that two people never look like one. So does a name that somebody
 * else could bear as it is: that of a user of another issuer, and a subject in place of another claim.
 * @param claim the subject stands in for a claim that the user lacks, or that is no text
 * @param soleIssuer whose users bear their names unmarked; undefined where there are several issuers
 */
export function sessionNameOf(user: User, claim: string, soleIssuer: string | undefined): string {
  const value = claimOf(user, claim);
  const named = (typeof value === 'string' && value !== '') || typeof value === 'number';
  const text = named ? String(value) : user.subject;
  const allowed = text.replaceAll(FOREIGN, '-');
  const fits = text.length >= MIN_SESSION_NAME && text.length <= MAX_SESSION_NAME;
  const isOwn = named && user.issuer === soleIssuer;
  if (isOwn && allowed === text && fits && !MARKED.test(text)) return text;
  const whose = JSON.stringify([user.issuer, named ? 'claim' : 'subject', text]);
  const digest = hash('sha256', whose, 'base64url').replaceAll('-', '.').slice(0, DIGEST_LENGTH);
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
