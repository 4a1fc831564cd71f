import type { Clock } from '../core/ports.ts';
import { Gate } from '../net/gate.ts';
import { networkOf } from '../net/peer-address.ts';
import { Throttle } from '../net/throttle.ts';

/** Callbacks from one browser: so many at once, then one every two seconds. A person with many tabs needs fewer. */
const PER_BROWSER = { burst: 30, intervalMs: 2_000 };
/** From one network, whatever the browsers: cookies cost nothing. Looser, because an office has one address. */
const PER_PEER = { burst: 120, intervalMs: 250 };
/** Of both; the least recently seen are forgotten. */
const MAX_KEYS = 10_000;

/** How many run at the same time, and how many wait. All together take half of what may go out to the other site. */
const BROWSER_TURNS = [2, 16] as const;
const PEER_TURNS = [8, 64] as const;
const ALL_TURNS = [16, 128] as const;
/** Milliseconds of waiting, out of what one request may take. */
const WAIT_LIMIT_MS = 4_000;

/** Who brings a callback. */
export interface Caller {
  /** The other site: a slow one does not hold up the rest. */
  readonly party: string;
  /** Id of the browser. */
  readonly browser: string;
  /** Address of the client, where it is known. */
  readonly peer: string | undefined;
}

export type Turn =
  /** Every turn is ended with `leave`, once. */
  { readonly kind: 'begun'; leave(): void } | { readonly kind: 'refused'; readonly retryAfterSeconds: number };

/**
 * Stands before the callbacks, which strangers can call with made-up codes, as often as they like: each costs a write
 * to the vault and a call to the other site. No browser and no network takes the turns of all others.
 */
export class Turnstile {
  readonly #clock: Clock;
  readonly #browserRate = new Throttle({ ...PER_BROWSER, maxKeys: MAX_KEYS });
  readonly #peerRate = new Throttle({ ...PER_PEER, maxKeys: MAX_KEYS });
  readonly #browsers = new Gate(...BROWSER_TURNS);
  readonly #peers = new Gate(...PEER_TURNS);
  readonly #all = new Gate(...ALL_TURNS);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Waits for a turn, for four seconds at most. Does not throw; who is refused has used up nothing. */
  async enter({ party, browser, peer }: Caller): Promise<Turn> {
    const network = peer === undefined ? undefined : networkOf(peer);
    // The browser first: one that has used up its tries must not use up those of its neighbours.
    const waitMs = this.#take(browser, network);
    if (waitMs > 0) return { kind: 'refused', retryAfterSeconds: Math.ceil(waitMs / 1_000) };
    const lanes: (readonly [Gate, string])[] = [[this.#browsers, `${browser} ${party}`]];
    // A queue of one browser holds nobody else's turn.
    if (network !== undefined) lanes.push([this.#peers, `${network} ${party}`]);
    lanes.push([this.#all, party]);
    const entered: typeof lanes = [];
    const leave = () => {
      for (const [gate, lane] of entered.splice(0)) gate.leave(lane);
    };
    const limit = AbortSignal.timeout(WAIT_LIMIT_MS);
    try {
      for (const [gate, lane] of lanes) {
        await gate.enter(lane, limit);
        entered.push([gate, lane]);
      }
      return { kind: 'begun', leave };
    } catch {
      // Too many wait already, or it took too long.
      leave();
      this.#browserRate.giveBack(browser);
      if (network !== undefined) this.#peerRate.giveBack(network);
      return { kind: 'refused', retryAfterSeconds: WAIT_LIMIT_MS / 1_000 };
    }
  }

  /** @returns 0, or the milliseconds until it is worth trying again */
  #take(browser: string, network: string | undefined): number {
    const nowMs = this.#clock.nowMs();
    const waitMs = this.#browserRate.take(browser, nowMs);
    if (waitMs > 0 || network === undefined) return waitMs;
    const peerWaitMs = this.#peerRate.take(network, nowMs);
    if (peerWaitMs > 0) this.#browserRate.giveBack(browser);
    return peerWaitMs;
  }
}
