import type { Grant } from './vault/vault.ts';

/** Room for the way to the backend and for clocks that differ a little, in milliseconds; less for short lives. */
const MARGIN_MS = 10_000;

/** When a token became somebody's, by the clock of this process: the replica that stored it may have another time. */
export interface Seen {
  /** This process has seen an older generation after this. */
  readonly notBeforeMs: number;
  /** This process has seen this generation at this time. */
  readonly notAfterMs: number;
}

/** Milliseconds since the epoch, by the clock of this process; `Infinity` where the provider did not say. */
export interface Life {
  /** From here on it is refreshed in the background. */
  readonly refreshAtMs: number;
  /** From here on a call waits for the refresh. */
  readonly waitAtMs: number;
  /** The token is of no use any more. */
  readonly endMs: number;
}

/**
 * The life of a grant's access token. The times in a grant are those of the replica that stored it; what this process
 * has seen itself limits how far they may be off: whatever that clock said, the token was issued between two looks.
 * @param refreshBeforeMs capped at a fifth of the lifetime (contract §3)
 */
export function lifeOf(grant: Grant, refreshBeforeMs: number, seen: Seen): Life {
  const { expiresAtMs, issuedAtMs } = grant;
  if (expiresAtMs === undefined) return { refreshAtMs: Infinity, waitAtMs: Infinity, endMs: Infinity };
  const lengthMs = Math.max(0, expiresAtMs - issuedAtMs);
  // The token is as old as the request for it, and the older generation was still there until its answer was stored.
  const heldMs = Math.max(0, (grant.storedAtMs ?? issuedAtMs) - issuedAtMs);
  const endMs = Math.min(Math.max(expiresAtMs, seen.notBeforeMs - heldMs + lengthMs), seen.notAfterMs + lengthMs);
  const waitAtMs = endMs - Math.min(MARGIN_MS, lengthMs / 10);
  return { refreshAtMs: Math.min(waitAtMs, endMs - Math.min(refreshBeforeMs, lengthMs / 5)), waitAtMs, endMs };
}

/** False when the grant came from another server, or through another client, than the configuration names today. */
export function isFrom(grant: Pick<Grant, 'issuedBy'>, provider: { readonly issuedBy?: string }): boolean {
  const { issuedBy } = grant; // unknown in older records
  return issuedBy === undefined || provider.issuedBy === undefined || issuedBy === provider.issuedBy;
}

/** True when the account was connected for everything that the configuration asks for today. */
export function covers(grant: Pick<Grant, 'requestedScopes'>, scopes: readonly string[]): boolean {
  return scopes.every((scope) => grant.requestedScopes.includes(scope));
}
