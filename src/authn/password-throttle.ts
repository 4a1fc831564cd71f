import { networkOf } from '../net/peer-address.ts';
import { Throttle } from '../net/throttle.ts';

/** Wrong passwords for one user name: so many at once, then one a minute (1,440 a day). */
const PER_USER = { burst: 10, intervalMs: 60_000 };
/**
 * Wrong passwords from one network, whatever the user names. Looser, because everybody behind a proxy has its address;
 * less than may wait for a thread, so that one network alone cannot fill the queue.
 */
const PER_PEER = { burst: 20, intervalMs: 3_000 };
const MAX_STRANGERS = 10_000;

export interface PasswordAttempt {
  /** A user name, or what stands for one. */
  readonly account: string;
  /** It is one of the configured ones. */
  readonly known: boolean;
  readonly peerAddress: string;
}

export type BegunAttempt =
  /** `takeBack` when it was no wrong guess after all; once only. */
  { readonly kind: 'begun'; takeBack(): void } | { readonly kind: 'refused'; readonly waitMs: number };

/**
 * Bounds how many passwords can be tried, per user name and per network of the peer. A try counts when it begins, so
 * that many at the same time cannot pass together, and is taken back unless the password was wrong.
 *
 * What is refused costs no hash and is not judged: whether the password was right stays unknown. That is neither a wrong
 * credential (401) nor a fault of ours (503) but 429 (RFC 6585 4), with the time to come back.
 */
export class PasswordThrottle {
  readonly #known: Throttle;
  readonly #unknown = new Throttle({ ...PER_USER, maxKeys: MAX_STRANGERS });
  readonly #peers = new Throttle({ ...PER_PEER, maxKeys: MAX_STRANGERS });

  /** @param maxUsers at least as many as are configured: made-up names never push them out */
  constructor(maxUsers: number) {
    this.#known = new Throttle({ ...PER_USER, maxKeys: maxUsers });
  }

  begin({ account, known, peerAddress }: PasswordAttempt, nowMs: number): BegunAttempt {
    const names = known ? this.#known : this.#unknown;
    const peer = networkOf(peerAddress);
    // The peer first: one that has used up its tries must not use up a user's.
    const peerWaitMs = this.#peers.take(peer, nowMs);
    if (peerWaitMs > 0) return { kind: 'refused', waitMs: peerWaitMs };
    const userWaitMs = names.take(account, nowMs);
    if (userWaitMs > 0) {
      this.#peers.giveBack(peer);
      return { kind: 'refused', waitMs: userWaitMs };
    }
    return {
      kind: 'begun',
      takeBack: () => {
        this.#peers.giveBack(peer);
        names.giveBack(account);
      },
    };
  }
}
