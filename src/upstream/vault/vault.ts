import type { Secret } from '../../core/secret.ts';

/** Whose grant, and where: one user has at most one grant at a provider. */
export interface GrantKey {
  readonly issuer: string;
  readonly subject: string;
  readonly provider: string;
}

/** What a provider gave for a user. Times are milliseconds since the epoch. */
export interface GrantContent {
  readonly accessToken: Secret;
  readonly refreshToken?: Secret;
  /** As the provider spelled it, such as `Bearer`. */
  readonly tokenType: string;
  /** Granted scopes; the requested ones where the provider left them out (RFC 6749 5.1). */
  readonly scopes: readonly string[];
  /** What was asked for when the account was connected: tells whether the configuration has changed since. */
  readonly requestedScopes: readonly string[];
  /** End of the access token's life; missing when the provider did not say, which is "unknown", not "never". */
  readonly expiresAtMs?: number;
  /** When this access token was obtained. */
  readonly issuedAtMs: number;
  /** When the user connected the account. */
  readonly connectedAtMs: number;
  readonly refreshedAtMs?: number;
  /** When a refresh was stored, by the clock of `issuedAtMs`: only the time between them means something elsewhere. */
  readonly storedAtMs?: number;
  /** A backend refused this access token: refresh before it is used again. */
  readonly stale?: boolean;
  /** Fingerprint of the server and client that it was issued by and to; missing in records of earlier versions. */
  readonly issuedBy?: string;
}

export interface Grant extends GrantContent {
  /**
   * Changes with every write but `markStale`. Starts at random when an account is connected, so that a number is
   * not seen again after delete and reconnect: a refresher that still holds the old grant cannot overwrite the new one.
   */
  readonly generation: number;
}

/** The generation that a successful `compareAndSet` stores. */
export function nextGeneration(generation: number): number {
  return generation + 1;
}

/** Exclusive right to do something, until it is released or its time is over. */
export interface Lease {
  readonly name: string;
  /** Tells this holder from every other one, earlier and later. */
  readonly token: string;
}

export interface ListFilter {
  readonly provider?: string;
  readonly issuer?: string;
  readonly subject?: string;
}

/** What support may see of a grant; never a token. */
export interface ListedGrant extends GrantKey {
  readonly kind: 'grant';
  readonly record: string;
  readonly generation: number;
  readonly scopes: readonly string[];
  readonly requestedScopes: readonly string[];
  readonly connectedAtMs: number;
  readonly refreshedAtMs?: number;
  readonly expiresAtMs?: number;
  readonly issuedBy?: string;
  readonly stale: boolean;
  /** Whether there is a refresh token. */
  readonly refreshable: boolean;
}

/** A record that does not open. Whose it is stands inside, so filters by issuer or subject do not hide it. */
export interface UnreadableGrant {
  readonly kind: 'unreadable';
  readonly record: string;
  readonly provider: string;
  readonly generation: number;
  readonly fault: 'unknown_key' | 'damaged';
  readonly keyId: string | undefined;
}

/**
 * Where grants live, and what several replicas must agree on. Every call ends: with its result, with a `VaultError`
 * within `OPERATION_LIMIT_MS`, or with the abort reason of `signal`. After `unavailable` or an abort it is unknown
 * whether a write happened: read again.
 */
export interface Vault {
  /** @throws VaultError `unknown_key` or `damaged`, naming the record and the key */
  read(key: GrantKey, signal?: AbortSignal): Promise<Grant | undefined>;
  /** Stores a newly connected grant in place of any other. */
  create(key: GrantKey, content: GrantContent, signal?: AbortSignal): Promise<Grant>;
  /**
   * Stores `content` as `nextGeneration(expected)` if the stored generation is `expected`; a missing grant is a conflict.
   * Of any number of callers with the same `expected`, in any number of processes, one gets `stored`.
   */
  compareAndSet(
    key: GrantKey,
    expected: number,
    content: GrantContent,
    signal?: AbortSignal,
  ): Promise<'stored' | 'conflict'>;
  /**
   * Marks the access token as refused if the stored generation is `generation`. The generation stays, because a refresh
   * that is under way must be able to store what it got: its old refresh token is spent.
   */
  markStale(key: GrantKey, generation: number, signal?: AbortSignal): Promise<'stored' | 'conflict'>;
  /** @returns whether a grant of that generation was there and is gone now */
  deleteIf(key: GrantKey, generation: number, signal?: AbortSignal): Promise<boolean>;
  /** @returns whether there was one */
  delete(key: GrantKey, signal?: AbortSignal): Promise<boolean>;
  /** Deletes a record by the name that `list` gives it, also one that does not open. */
  deleteRecord(record: string, signal?: AbortSignal): Promise<boolean>;

  /**
   * @param owner who asks, for people who look into the store; two calls of one owner exclude each other too
   * @returns undefined while somebody holds it
   */
  lease(name: string, ttlMs: number, owner: string, signal?: AbortSignal): Promise<Lease | undefined>;
  /** @returns false when it was over already; another's lease of the same name stays untouched */
  release(lease: Lease, signal?: AbortSignal): Promise<boolean>;
  /** @returns true the first time within `ttlMs`, false from then on */
  once(key: string, ttlMs: number, signal?: AbortSignal): Promise<boolean>;

  /**
   * Streams all grants in no particular order, with bounded memory. What is written meanwhile may be missing, and
   * with Redis a record may come twice while the database grows.
   */
  list(filter?: ListFilter, signal?: AbortSignal): AsyncIterable<ListedGrant | UnreadableGrant>;
  /** Resolves when the store answers. */
  ping(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
