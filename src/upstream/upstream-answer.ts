import { covers, isFrom } from './grant-life.ts';
import type { OpenedGrant, UpstreamToken } from './opened-grants.ts';
import type { Provider } from './provider.ts';
import type { RefreshFault } from './refresh-grant.ts';

/**
 * The user has to connect the account. `expired`: the token has ended, or was refused, and nothing can refresh it.
 * `provider_changed`: it came from another server, or through another client, than the configuration names today.
 */
export interface Unconnected {
  readonly kind: 'unconnected';
  readonly why: 'never' | 'revoked' | 'expired' | 'scopes_changed' | 'provider_changed';
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
const PROVIDER_CHANGED: Unconnected = { kind: 'unconnected', why: 'provider_changed' };

/**
 * What can be said about a grant without asking anybody; undefined when only a refresh helps.
 * @param provider what the configuration says today
 */
export function judge(
  entry: OpenedGrant,
  provider: Pick<Provider, 'scopes' | 'issuedBy'>,
  nowMs: number,
): UpstreamToken | Unconnected | undefined {
  const { grant, token } = entry;
  if (!isFrom(grant, provider)) return PROVIDER_CHANGED;
  if (!covers(grant, provider.scopes)) return SCOPES_CHANGED;
  if (!grant.stale && nowMs < entry.waitAtMs) return token;
  if (grant.refreshToken) return undefined;
  return !grant.stale && nowMs < entry.endMs ? token : EXPIRED;
}

/** Nobody can refresh for now: one backend's refusal is no reason to leave all others without a token until then. */
const OUTAGES: ReadonlySet<RefreshFault> = new Set(['rate_limited', 'timeout', 'network', 'overloaded']);

/** While no refresh succeeds, a token that is still good is better than none. */
export function makeDo(
  entry: OpenedGrant,
  nowMs: number,
  reason: RefreshFault,
  retryAfterSeconds: number,
): UpstreamAnswer {
  if ((!entry.grant.stale || OUTAGES.has(reason)) && nowMs < entry.endMs) return entry.token;
  return { kind: 'unavailable', reason, retryAfterSeconds };
}
