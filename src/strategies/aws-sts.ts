import { hash } from 'node:crypto';
import { whenReady } from '../core/maybe-promise.ts';
import type { Tools } from '../core/ports.ts';
import { refuse } from '../core/refusal.ts';
import type { Egress } from '../net/egress.ts';
import type { Refresher } from '../upstream/refresher.ts';
import { prepareRoles, sessionNameOf } from './aws-role.ts';
import { type AssumeOutcome, type AssumeRole, type AwsCredentials, StsEndpoint } from './aws-sts-endpoint.ts';
import { CredentialCache, type Obtained } from './credential-cache.ts';
import { CredentialReport } from './credential-report.ts';
import type { OutgoingAuthOf } from './schema.ts';
import type { OutgoingStrategy, StrategyOutcome } from './strategy.ts';
import { incomingToken, type Subject, upstreamToken } from './subject-token.ts';
import { claimsOf } from './token-life.ts';

/** What comes back when the backend has answered 401 to a signed request. */
interface RefusedCredentials {
  readonly strategy: 'aws_sts';
  readonly key: string;
  readonly accessKeyId: string;
}

/** For one call of STS; egress gives it 5 s. */
const ASSUME_LIMIT_MS = 6_000;
/** Credentials are given up this long before their end, in milliseconds, or a fifth of their life before, if shorter. */
const MARGIN_MS = 300_000;
const RETRY_SECONDS = 5;
const NOT_MAPPED: StrategyOutcome = { kind: 'refused', refusal: refuse('role_not_mapped') };

/** AWS STS as configured, and the credentials it has issued. */
export class AwsSts {
  readonly endpoint: StsEndpoint;
  readonly cache: CredentialCache<AwsCredentials>;
  readonly report: CredentialReport;

  /**
   * @param stsEndpoint in place of the regional endpoints of AWS
   * @throws when it cannot be called
   */
  constructor(stsEndpoint: string | undefined, tools: Tools, egress: Egress) {
    this.endpoint = new StsEndpoint(stsEndpoint, tools, egress);
    this.cache = new CredentialCache('aws_sts', ASSUME_LIMIT_MS, tools);
    this.report = new CredentialReport('mcp_identity_aws_sts_calls_total', 'Calls of AWS STS', 'sts', tools);
  }

  /** @param what what a plan carries back; anything but ours is ignored */
  invalidate(what: unknown): void {
    const { strategy, key, accessKeyId } = (what ?? {}) as Partial<RefusedCredentials>;
    if (strategy === 'aws_sts' && key !== undefined) this.cache.drop(key, (kept) => kept.accessKeyId === accessKeyId);
  }
}

/**
 * Temporary credentials of the role that is meant for the user; ext_proc signs the request with them (R17).
 *
 * They are kept per user, role, session name and what else of the token a role's trust policy can ask for, not per token:
 * who comes with a renewed token goes on with them. Claims decide about the role anew with every request.
 * @param soleIssuer of the tokens of the route; undefined where there are several, or none
 * @throws when the provider does not exist; validation says so first (V-01, V-02)
 */
export function createAwsSts(
  policy: OutgoingAuthOf<'aws_sts'>,
  { endpoint, cache, report }: AwsSts,
  refresher: Refresher | undefined,
  { clock }: Tools,
  soleIssuer?: string,
): OutgoingStrategy {
  const { region, service, subjectProviderName, sessionNameClaim, sessionDuration } = policy.awsSts;
  const host = policy.awsSts.host.toLowerCase();
  const durationSeconds = Math.floor(sessionDuration / 1_000);
  const roleOf = prepareRoles(policy.awsSts);
  const findSubject =
    subjectProviderName === undefined ? incomingToken(clock) : upstreamToken(subjectProviderName, 'deny', refresher);

  const keyOf = (
    { user, source, token }: Subject,
    { roleArn, sessionName }: Pick<AssumeRole, 'roleArn' | 'sessionName'>,
  ) => {
    const claims = subjectProviderName === undefined ? user.claims : claimsOf(token.reveal());
    const parts = [region, roleArn, sessionName, durationSeconds, source, user.issuer, user.subject, trusted(claims)];
    return hash('sha256', JSON.stringify(parts), 'base64url');
  };

  const assume = async (role: AssumeRole, subject: Subject, limit: AbortSignal): Promise<Obtained<AwsCredentials>> => {
    const askedMs = clock.nowMs();
    const outcome = await endpoint.assume(role, limit);
    report.ended(wordOf(outcome));
    if (outcome.kind !== 'assumed') return refused(outcome, subject);
    const { credentials, expiresAtMs } = outcome;
    const untilMs = expiresAtMs - Math.min(MARGIN_MS, Math.max(0, expiresAtMs - askedMs) / 5);
    const { secretAccessKey, sessionToken } = credentials;
    const length = secretAccessKey.reveal().length + sessionToken.reveal().length;
    return { kind: 'obtained', value: credentials, untilMs, length };
  };

  const refused = (outcome: Exclude<AssumeOutcome, { kind: 'assumed' }>, subject: Subject): Obtained<never> => {
    const detail = wordOf(outcome);
    if (outcome.kind !== 'rejected') report.trouble('AWS STS gave no credentials', detail);
    switch (outcome.kind) {
      case 'unavailable': {
        const { retryAfterSeconds = RETRY_SECONDS } = outcome;
        return { kind: 'refused', refusal: refuse('aws_unavailable', { detail, retryAfterSeconds }), definite: false };
      }
      case 'rejected': {
        // The other codes speak about roles, trust policies and providers: another token would fare no better.
        const oldToken = outcome.code === 'ExpiredTokenException' || outcome.code === 'IDPRejectedClaim';
        const refusal = oldToken ? subject.rejected('aws_refused', detail) : refuse('aws_refused', { detail });
        return { kind: 'refused', refusal, definite: true };
      }
      default:
        return { kind: 'refused', refusal: refuse('aws_answer_invalid', { detail }), definite: false };
    }
  };

  return {
    credential: (identity, signal) =>
      whenReady(findSubject(identity, signal), (subject) => {
        if (subject.kind !== 'subject') return subject;
        const { user, token } = subject;
        const roleArn = roleOf(user);
        if (roleArn === undefined) return NOT_MAPPED;
        const role: AssumeRole = {
          region,
          roleArn,
          sessionName: sessionNameOf(user, sessionNameClaim, soleIssuer),
          durationSeconds,
          token,
        };
        const key = keyOf(subject, role);
        const attempt = `${key} ${hash('sha256', token.reveal(), 'base64url')}`;
        return whenReady(
          cache.obtain(key, attempt, signal, (limit) => assume(role, subject, limit)),
          (obtained): StrategyOutcome => {
            if (obtained.kind === 'refused') return obtained;
            const credentials = obtained.value;
            const invalidate: RefusedCredentials = { strategy: 'aws_sts', key, accessKeyId: credentials.accessKeyId };
            return {
              kind: 'write',
              // Only ext_authz may change the host (covered by test/e2e/aws.test.ts).
              headers: [[':authority', host]],
              credential: { invalidate },
              signing: { host, region, service, credentials },
            };
          },
        );
      }),
  };
}

/** Claims of a token that the trust policy of a role can ask for (IAM: keys of OIDC federation). */
const TRUSTED = ['iss', 'sub', 'aud', 'azp', 'client_id', 'amr', 'acr', 'act'];
/** Session tags and the source identity, together or one by one. */
const SESSION_CLAIMS = 'https://aws.amazon.com/';

function trusted(claims: Readonly<Record<string, unknown>> = {}): unknown[] {
  const session = Object.keys(claims).filter((name) => name.startsWith(SESSION_CLAIMS));
  return [...TRUSTED, ...session.sort()].map((name) => [name, claims[name] ?? null]);
}

function wordOf(outcome: AssumeOutcome): string {
  if (outcome.kind === 'rejected') return outcome.code;
  return outcome.kind === 'unavailable' ? outcome.fault : outcome.kind;
}
