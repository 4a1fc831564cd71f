import { LRUCache } from 'lru-cache';
import { type Identity, identityKey, type User } from '../core/identity.ts';
import { type MaybePromise, whenReady } from '../core/maybe-promise.ts';
import type { Clock } from '../core/ports.ts';
import { type Reason, type Refusal, refuse } from '../core/refusal.ts';
import type { Secret } from '../core/secret.ts';
import type { Refresher } from '../upstream/refresher.ts';
import type { StrategyOutcome } from './strategy.ts';

/** The token that speaks for the user at a service that issues another credential for it. */
export interface Subject {
  readonly kind: 'subject';
  readonly user: User;
  readonly token: Secret;
  /** End of its life in seconds since the epoch. Undefined for tokens of accounts, which the refresher looks after. */
  readonly expiresAt: number | undefined;
  /** Where it comes from: no two methods or providers have the same text. */
  readonly source: string;
  /**
   * The service says that the token is no good.
   * @param otherwise what the caller hears when a new token would not help
   */
  rejected(otherwise: Reason, detail: string): Refusal;
}

export type SubjectOutcome = Subject | Exclude<StrategyOutcome, { kind: 'write' }>;
export type FindSubject = (identity: Identity, signal: AbortSignal) => MaybePromise<SubjectOutcome>;

const LOGIN_REQUIRED: SubjectOutcome = { kind: 'refused', refusal: refuse('login_required') };

/** A token younger than this, in seconds, was just fetched because of a 401: another one would fare no better. */
const YOUNG_SECONDS = 60;

/**
 * The incoming token itself. Who comes without one (api_key, basic, trusted_proxy, anonymous) has to sign in.
 *
 * When it is rejected, the caller hears 401 and fetches another one. MCP clients sign the person in again for that, so a
 * token that was issued a moment ago is not answered so: what is wrong then is not the token, and they would never stop.
 */
export function incomingToken(clock: Clock): FindSubject {
  return (identity) => {
    if (identity.kind === 'anonymous' || !identity.token) return LOGIN_REQUIRED;
    const { claims, token, expiresAt, methodName } = identity;
    return {
      kind: 'subject',
      user: identity,
      token,
      expiresAt,
      source: `method ${methodName}`,
      rejected(otherwise, detail) {
        const { iat } = claims;
        const young = typeof iat === 'number' && clock.nowMs() / 1_000 - iat < YOUNG_SECONDS;
        return refuse(young ? otherwise : 'subject_token_refused', { detail });
      },
    };
  };
}

/** How long a rejected token of an account keeps the next one of it from being refreshed for the same reason. */
const REFRESH_AGAIN_MS = 60_000;
const MAX_REJECTED = 10_000;

/**
 * The user's own token at a provider, refreshed first where needed.
 *
 * When it is rejected, it is refreshed before it is used again, and the caller is asked to come back; if the new one is
 * rejected too, that is the end of it for a minute. A grant that turns out dead then is an account to be connected anew.
 * @param unconnected what becomes of requests that only open or list, while there is no account (contract §5)
 * @throws when there is no such provider; validation says so first (V-01, V-02)
 */
export function upstreamToken(
  provider: string,
  unconnected: 'forward' | 'deny',
  refresher: Refresher | undefined,
): FindSubject {
  if (!refresher?.knows(provider)) throw new Error(`subjectProviderName is ${provider}, which is not available`);
  const missing: SubjectOutcome = { kind: 'unconnected', provider, onMissing: 'auto', unconnected };
  const rejectedLately = new LRUCache<string, true>({ max: MAX_REJECTED, ttl: REFRESH_AGAIN_MS });
  return (identity, signal) => {
    if (identity.kind === 'anonymous') return LOGIN_REQUIRED;
    const { issuer, subject } = identity;
    return whenReady(refresher.token({ issuer, subject }, provider, signal), (answer): SubjectOutcome => {
      if (answer.kind === 'unconnected') return missing;
      if (answer.kind === 'unavailable') {
        const { reason: detail, retryAfterSeconds } = answer;
        return { kind: 'refused', refusal: refuse('upstream_unavailable', { detail, retryAfterSeconds }) };
      }
      const { accessToken, generation } = answer;
      return {
        kind: 'subject',
        user: identity,
        token: accessToken,
        expiresAt: undefined,
        source: `provider ${provider}`,
        rejected(otherwise, detail) {
          const key = identityKey(identity);
          if (rejectedLately.has(key)) return refuse(otherwise, { detail });
          rejectedLately.set(key, true);
          void refresher.invalidate({ issuer, subject, provider, generation });
          return refuse('upstream_unavailable', { detail, retryAfterSeconds: 1 });
        },
      };
    });
  };
}
