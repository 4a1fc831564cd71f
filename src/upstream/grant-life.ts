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
  const endMs = Math.min(Math.max(expiresAtMs, seen.notBeforeMs + lengthMs), seen.notAfterMs + lengthMs);
  const waitAtMs = endMs - Math.min(MARGIN_MS, lengthMs / 10);
  return { refreshAtMs: Math.min(waitAtMs, endMs - Math.min(refreshBeforeMs, lengthMs / 5)), waitAtMs, endMs };
}

/** True when the account was connected for everything that the configuration asks for today. */
export function covers(grant: Grant, scopes: readonly string[]): boolean {
  return scopes.every((scope) => grant.requestedScopes.includes(scope));
}
