import { availableParallelism } from 'node:os';
import { LRUCache } from 'lru-cache';
import type { Tools } from '../core/ports.ts';
import { refuse } from '../core/refusal.ts';
import { SingleFlight } from '../core/single-flight.ts';
import { type BasicCredentials, readBasicCredentials } from './basic-credentials.ts';
import { createKeyedDigest } from './keyed-digest.ts';
import { ABSENT, type IncomingMethod, type Outcome } from './method.ts';
import { parsePasswordHash } from './password-hash.ts';
import { PasswordPool } from './password-pool.ts';
import type { PasswordThrottle } from './password-throttle.ts';
import type { IncomingMethodConfig } from './schema.ts';
import { tokenlessUser } from './tokenless-user.ts';

export type BasicConfig = Extract<IncomingMethodConfig, { type: 'basic' }>;

/** How much checking passwords may take of the machine. */
export interface BasicLimits {
  /** Hashes at a time. */
  readonly threads: number;
  /** Passwords that may wait for a thread. */
  readonly maxWaiting: number;
  /** For one password, its wait included; milliseconds. */
  readonly checkLimitMs: number;
}

// One core stays free for everybody else's calls.
const limitsOfMachine = (): BasicLimits => ({
  threads: Math.max(1, Math.min(2, availableParallelism() - 1)),
  maxWaiting: 64,
  checkLimitMs: 4_000,
});

interface KnownUser {
  readonly username: string;
  readonly passwordHash: string;
  readonly outcome: Outcome;
}

/** What came out for one user name and password: a fact, as long as the configuration is the same. */
interface Checked {
  readonly outcome: Outcome;
  readonly atMs: number;
}

/** An answer is reused for this long, so that calls do not each cost a hash. */
const REUSE_MS = 5 * 60_000;
const MAX_REMEMBERED = 10_000;

const MALFORMED: Outcome = { kind: 'rejected', refusal: refuse('authorization_malformed') };
const WRONG: Outcome = { kind: 'rejected', refusal: refuse('credential_wrong') };
const OVERLOADED: Outcome = { kind: 'rejected', refusal: refuse('overloaded', { retryAfterSeconds: 2 }) };

/**
 * User names and passwords (RFC 7617), checked against bcrypt or scrypt hashes.
 *
 * Guesses cost others nothing: hashes run in threads of their own, few at a time, behind a bounded queue (503 when it
 * is full), and only while the throttle lets them (429, see password-throttle.ts). An answer that is remembered costs
 * no hash and no try: neither the calls of a client with the right password nor those of one that repeats a wrong one.
 * A user name that nobody has takes the same way, with a hash as expensive, so that it cannot be told from one that exists.
 * @param throttle of this method; it may know of guesses already
 * @throws when a user name is used twice, or a hash is malformed or too expensive
 */
export function createBasic(
  name: string,
  config: BasicConfig,
  tools: Tools,
  throttle: PasswordThrottle,
  limits?: BasicLimits,
): IncomingMethod {
  const { clock, metrics } = tools;
  const { threads, maxWaiting, checkLimitMs } = limits ?? limitsOfMachine();
  const users = knownUsers(name, config);
  const byUsername = new Map(users.map((user) => [user.username, user]));
  const digest = createKeyedDigest();
  // Apart from each other: made-up passwords must not push out what is known about right ones.
  const right = new LRUCache<string, Checked>({ max: MAX_REMEMBERED });
  const wrong = new LRUCache<string, Checked>({ max: MAX_REMEMBERED });
  const pool = new PasswordPool(threads, maxWaiting);
  const flight = new SingleFlight<Outcome>();
  const counter = (outcome: string) =>
    metrics.counter('mcp_identity_password_checks_total', 'Passwords that were not answered from memory', {
      method: name,
      outcome,
    });
  const counts = {
    right: counter('right'),
    wrong: counter('wrong'),
    throttled: counter('throttled'),
    overloaded: counter('overloaded'),
  };
  metrics.gauge('mcp_identity_password_checks_waiting', 'Passwords that wait for a thread', () => pool.waiting, {
    method: name,
  });

  /** For a user name that nobody has: the hash of a known user, always of the same one. */
  const decoy = (username: string) => users[digest(username).readUInt32LE() % users.length] as KnownUser;

  const remembered = (key: string): Outcome | undefined => {
    const checked = right.get(key) ?? wrong.get(key);
    if (!checked) return undefined;
    const ageMs = clock.nowMs() - checked.atMs;
    return ageMs >= 0 && ageMs < REUSE_MS ? checked.outcome : undefined;
  };

  const check = async (
    key: string,
    { username, password }: BasicCredentials,
    peerAddress: string,
    limit: AbortSignal,
  ): Promise<Outcome> => {
    const user = byUsername.get(username);
    // What was right before is no guess: whoever guesses at this user's password does not lock the user out.
    const account = user ? username : digest(username).toString('base64');
    const attempt = right.has(key) ? undefined : throttle.begin({ account, known: !!user, peerAddress }, clock.nowMs());
    if (attempt?.kind === 'refused') {
      counts.throttled.inc();
      const retryAfterSeconds = Math.ceil(attempt.waitMs / 1_000);
      return { kind: 'rejected', refusal: refuse('credential_throttled', { retryAfterSeconds }) };
    }
    let matches: boolean | undefined;
    try {
      matches = await pool.check((user ?? decoy(username)).passwordHash, password, limit);
    } catch (error) {
      attempt?.takeBack();
      if (!limit.aborted) throw error;
    }
    if (matches === undefined) {
      attempt?.takeBack();
      counts.overloaded.inc();
      return OVERLOADED;
    }
    if (!user || !matches) {
      counts.wrong.inc();
      right.delete(key);
      wrong.set(key, { outcome: WRONG, atMs: clock.nowMs() });
      return WRONG;
    }
    attempt?.takeBack();
    counts.right.inc();
    right.set(key, { outcome: user.outcome, atMs: clock.nowMs() });
    return user.outcome;
  };

  return {
    name,
    type: 'basic',
    issuer: undefined,
    scheme: 'basic',
    credentialHeaders: [],
    audience: undefined,

    authenticate({ peer }, authorization, signal) {
      if (authorization.kind !== 'basic') return ABSENT;
      const key = digest(authorization.value).toString('base64');
      const known = remembered(key);
      if (known) return known;
      const credentials = readBasicCredentials(authorization.value);
      if (!credentials) return MALFORMED;
      return flight.run(key, checkLimitMs, (limit) => check(key, credentials, peer.address, limit), signal);
    },

    close: () => pool.close(),
  };
}

function knownUsers(name: string, config: BasicConfig): KnownUser[] {
  const method = { name, authMethod: 'basic' as const, attributeClaims: config.attributeClaims };
  const usernames = new Set<string>();
  return config.users.map(({ username, passwordHash, subject, claims }, index) => {
    const place = `incomingAuth.${name}.users[${index}]`;
    if (usernames.has(username)) throw new Error(`${place}.username: is used twice`);
    usernames.add(username);
    if (username.includes(':')) throw new Error(`${place}.username: cannot hold a colon (RFC 7617 2)`);
    if (!parsePasswordHash(passwordHash)) {
      throw new Error(`${place}.passwordHash: is malformed, or too expensive to check`);
    }
    const user = tokenlessUser(subject, claims, method);
    if (!user) throw new Error(`${place}.subject: is too long`);
    return { username, passwordHash, outcome: { kind: 'identified', user } };
  });
}
