import { covers } from './grant-life.ts';
import type { OpenedGrant, UpstreamToken } from './opened-grants.ts';
import type { RefreshFault } from './refresh-grant.ts';

/** The user has to connect the account. `expired`: the token has ended, or was refused, and nothing can refresh it. */
export interface Unconnected {
  readonly kind: 'unconnected';
  readonly why: 'never' | 'revoked' | 'expired' | 'scopes_changed';
}

/** The grant is kept; it is worth trying again. */
export interface Unavailable {
  readonly kind: 'unavailable';
  readonly retryAfterSeconds: number;
  readonly reason: RefreshFault;
}

export type UpstreamAnswer = UpstreamToken | Unconnected | Unavailable;

export const NEVER: Unconnected = { kind: 'unconnected', why: 'never' };
export const REVOKED: Unconnected = { kind: 'unconnected', why: 'revoked' };
const EXPIRED: Unconnected = { kind: 'unconnected', why: 'expired' };
const SCOPES_CHANGED: Unconnected = { kind: 'unconnected', why: 'scopes_changed' };

/**
 * What can be said about a grant without asking anybody; undefined when only a refresh helps.
 * @param scopes what the configuration asks for today
 */
export function judge(
  entry: OpenedGrant,
  scopes: readonly string[],
  nowMs: number,
): UpstreamToken | Unconnected | undefined {
  const { grant, token } = entry;
  if (!covers(grant, scopes)) return SCOPES_CHANGED;
  if (!grant.stale && nowMs < entry.waitAtMs) return token;
  if (grant.refreshToken) return undefined;
  return !grant.stale && nowMs < entry.endMs ? token : EXPIRED;
}

/** While no refresh succeeds, a token that is still good is better than none. */
export function makeDo(
  entry: OpenedGrant,
  nowMs: number,
  reason: RefreshFault,
  retryAfterSeconds: number,
): UpstreamAnswer {
  if (!entry.grant.stale && nowMs < entry.endMs) return entry.token;
  return { kind: 'unavailable', reason, retryAfterSeconds };
}
