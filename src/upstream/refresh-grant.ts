import { setTimeout as delay } from 'node:timers/promises';
import type { Clock, Log } from '../core/ports.ts';
import type { Provider } from './provider.ts';
import type { ProviderFault } from './provider-failure.ts';
import { VaultError } from './vault/vault-error.ts';
import { type Grant, type GrantContent, type GrantKey, type Lease, nextGeneration, type Vault } from './vault/vault.ts';

/** Milliseconds. The lease outlives what is done under it, so that no other replica sends the same refresh token meanwhile. */
export interface RefreshLimits {
  /** For finding the endpoints and waiting for a turn. */
  readonly waitMs: number;
  /** For what is done under the lease before the provider has answered: a look into the vault and the call. */
  readonly holdMs: number;
  /** How long a turn lasts at most; longer than `holdMs`. After a crash the other replicas wait for its end. */
  readonly leaseMs: number;
  /** How long a rotated token is tried to be stored while the vault is away; longer than the lease if need be. */
  readonly storeMs: number;
  /** After trouble with the vault others get this long to store what they hold, before a refresh token is sent. */
  readonly graceMs: number;
}

export const REFRESH_LIMITS: RefreshLimits = {
  waitMs: 10_000,
  holdMs: 23_000, // the provider's call is given 20 seconds
  leaseMs: 30_000,
  storeMs: 60_000,
  graceMs: 3_000,
};

export interface RefreshParts {
  readonly vault: Vault;
  readonly provider: Provider;
  /** Who asks for leases. */
  readonly ownerId: string;
  readonly limits: RefreshLimits;
  readonly log: Log;
  readonly clock: Clock;
  /** `performance.now()` when the vault failed last. */
  readonly vaultFailedMs: number;
  /** Turns by name that this process has not given back, because the provider may still be at work. */
  readonly kept: KeptLeases;
  /** Told how long this process waited for its turn. */
  readonly waited: (ms: number) => void;
  /** The process is about to end: nothing more is sent. */
  readonly leaving: AbortSignal;
  /** Ends the attempts to store when the process has to end. */
  readonly closing: AbortSignal;
}

export interface KeptLeases {
  get(name: string): Lease | undefined;
  set(name: string, lease: Lease): unknown;
  delete(name: string): unknown;
}

export type RefreshEnd =
  | { readonly kind: 'refreshed'; readonly grant: Grant }
  /** Another replica was faster, or the user has connected anew. */
  | { readonly kind: 'superseded'; readonly lookedMs: number; readonly grant: Grant }
  | { readonly kind: 'gone'; readonly why: 'never' | 'revoked' }
  | {
      readonly kind: 'failed';
      readonly reason: RefreshFault;
      readonly error?: string;
      readonly retryAfterSeconds?: number;
    };

/** `busy`: another replica holds the turn and did not finish in time. `internal`: a bug. */
export type RefreshFault = ProviderFault | 'vault_unavailable' | 'grant_unreadable' | 'busy' | 'internal';

const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 500;

/**
 * Refreshes one grant, one replica at a time: lease, another look, the provider's call, compare-and-set. The rotated
 * token is in the vault before anybody gets the new access token.
 *
 * A kill at any moment before the provider acts on the request loses nothing. Between its answer and the write, what it
 * rotated is lost with the process; no client can avoid that (RFC 9700 4.14.2), only make the moment short.
 * @param seen generation that needs the refresh; when the vault holds another one, that one is the result
 * @param waiting ends the wait for a turn; never what is under way at the provider
 */
export async function refreshGrant(
  parts: RefreshParts,
  key: GrantKey,
  seen: number,
  waiting: AbortSignal,
): Promise<RefreshEnd> {
  let lease: Lease | undefined;
  let sent = false;
  // An operation of the vault that is under way is not given up on: a turn nobody knows of would hold others up.
  const idle = AbortSignal.any([waiting, parts.leaving]);
  try {
    await grace(parts, idle);
    const failure = await parts.provider.prepare(idle);
    if (failure) return failedBy(failure);
    const turn = await takeTurn(parts, key, seen, waiting, idle);
    if ('kind' in turn) return turn;
    lease = turn;
    parts.leaving.throwIfAborted();
    sent = true;
    const end = await underLease(parts, key, seen);
    // Whether the provider has seen the request is unknown: no other replica sends the same refresh token at once. The
    // turn runs out by itself, or ends when this process tries again.
    if (end.unknown) {
      parts.kept.set(lease.name, lease);
      lease = undefined;
    }
    return end;
  } catch (error) {
    if (error instanceof VaultError) return vaultFailure(error);
    if (idle.aborted && !sent) return { kind: 'failed', reason: 'busy' };
    if (error instanceof Error && error.name === 'TimeoutError') return { kind: 'failed', reason: 'timeout' };
    parts.log.error('a refresh failed unexpectedly', { provider: key.provider, error: stackOf(error) });
    return { kind: 'failed', reason: 'internal' };
  } finally {
    if (lease) parts.vault.release(lease).catch(() => {}); // it ends by itself
  }
}

async function grace({ limits, vaultFailedMs }: RefreshParts, signal: AbortSignal): Promise<void> {
  const remainingMs = vaultFailedMs + limits.graceMs - performance.now();
  if (remainingMs > 0) await delay(remainingMs, undefined, { signal });
}

/** The lease, or what has happened to the grant while somebody else held it. */
async function takeTurn(
  parts: RefreshParts,
  key: GrantKey,
  seen: number,
  signal: AbortSignal,
  idle: AbortSignal,
): Promise<Lease | RefreshEnd> {
  const { vault, ownerId, limits, kept, waited } = parts;
  const startedMs = performance.now();
  const name = `refresh ${key.provider} ${key.issuer.length}:${key.issuer}${key.subject}`;
  try {
    const own = kept.get(name);
    if (own) {
      await vault.release(own, signal);
      kept.delete(name);
    }
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)) {
      const lease = await vault.lease(name, limits.leaseMs, ownerId, signal);
      if (lease) return lease;
      await delay(pauseMs * (0.75 + Math.random() / 2), undefined, { signal: idle }); // waiters do not come all at once
      const changed = await look(parts, key, seen, signal);
      if (changed.kind !== 'same') return changed;
    }
  } finally {
    waited(performance.now() - startedMs);
  }
}

async function look({ vault, clock }: RefreshParts, key: GrantKey, seen: number, signal?: AbortSignal) {
  const lookedMs = clock.nowMs();
  const grant = await vault.read(key, signal);
  if (!grant) return { kind: 'gone', why: 'never' } as const;
  if (grant.generation !== seen) return { kind: 'superseded', grant, lookedMs } as const;
  return { kind: 'same', grant } as const;
}

async function underLease(
  parts: RefreshParts,
  key: GrantKey,
  seen: number,
): Promise<RefreshEnd & { readonly unknown?: boolean }> {
  const { provider, limits } = parts;
  const signal = AbortSignal.timeout(limits.holdMs);
  const now = await look(parts, key, seen, signal);
  if (now.kind !== 'same') return now;
  const outcome = await provider.refresh(now.grant, signal);
  if (outcome.kind === 'failed') {
    const unknown = !outcome.unsent && (outcome.fault === 'timeout' || outcome.fault === 'network');
    return { ...failedBy(outcome), ...(unknown && { unknown }) };
  }
  return outcome.kind === 'dead' ? bury(parts, key, seen) : store(parts, key, seen, outcome.content);
}

function failedBy(failure: { fault: ProviderFault; error?: string; retryAfterSeconds?: number }): RefreshEnd {
  const { fault, error, retryAfterSeconds } = failure;
  return {
    kind: 'failed',
    reason: fault,
    ...(error !== undefined && { error }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  };
}

/** The refresh token is dead; the grant is, unless somebody has put another one in its place. */
async function bury(parts: RefreshParts, key: GrantKey, seen: number): Promise<RefreshEnd> {
  const before = await look(parts, key, seen);
  if (before.kind !== 'same') return before;
  if (await parts.vault.deleteIf(key, seen)) return { kind: 'gone', why: 'revoked' };
  const after = await look(parts, key, seen);
  return after.kind === 'same' ? { kind: 'gone', why: 'revoked' } : after;
}

/** Goes on for as long as the vault is away: nobody else has what the provider gave. */
async function store(parts: RefreshParts, key: GrantKey, seen: number, issued: GrantContent): Promise<RefreshEnd> {
  const { vault, limits, log, clock, closing } = parts;
  const untilMs = performance.now() + limits.storeMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)) {
    const content: GrantContent = { ...issued, storedAtMs: clock.nowMs() };
    try {
      const written = await vault.compareAndSet(key, seen, content);
      const grant: Grant = { ...content, generation: nextGeneration(seen) };
      return written === 'stored' ? { kind: 'refreshed', grant } : await settleConflict(parts, key, grant);
    } catch (error) {
      const unavailable = error instanceof VaultError && error.code === 'unavailable';
      if (!unavailable || closing.aborted || performance.now() > untilMs) {
        log.error('a refreshed token could not be stored; where the provider rotates, its user has to connect again', {
          provider: key.provider,
        });
        if (error instanceof VaultError) return vaultFailure(error);
        throw error;
      }
      await delay(pauseMs, undefined, { signal: closing }).catch(() => {}); // one last attempt before the end
    }
  }
}

/** @param ours what we tried to store */
async function settleConflict(
  { vault, provider, limits, clock }: RefreshParts,
  key: GrantKey,
  ours: Grant,
): Promise<RefreshEnd> {
  const lookedMs = clock.nowMs();
  const grant = await vault.read(key);
  if (!grant) {
    // Disconnected meanwhile: what has just been issued must not outlive that.
    await provider.revoke(ours, AbortSignal.timeout(limits.holdMs));
    return { kind: 'gone', why: 'never' };
  }
  // An earlier attempt of ours was written, only its answer was lost.
  const written = grant.generation === ours.generation && grant.accessToken.reveal() === ours.accessToken.reveal();
  return written ? { kind: 'refreshed', grant } : { kind: 'superseded', grant, lookedMs };
}

function vaultFailure(error: VaultError): RefreshEnd {
  return { kind: 'failed', reason: error.code === 'unavailable' ? 'vault_unavailable' : 'grant_unreadable' };
}

/** Where it happened, without the message: it may quote what it stumbled over. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return `${error.name}\n${(error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .join('\n')}`;
}
