import { EgressError } from './egress-error.ts';

interface Lane {
  running: number;
  /** Oldest first. */
  readonly waiting: Set<() => void>;
}

/** Bounds how many calls run at once per destination, and how many may wait for their turn. */
export class Gate {
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  readonly #lanes = new Map<string, Lane>();

  constructor(maxRunning: number, maxWaiting: number) {
    this.#maxRunning = maxRunning;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Waits for a turn at `destination`; every entry that succeeded is ended with `leave`.
   * @throws EgressError `overloaded` when too many wait already, or the abort reason of `signal`
   */
  async enter(destination: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    let lane = this.#lanes.get(destination);
    if (!lane) {
      lane = { running: 0, waiting: new Set() };
      this.#lanes.set(destination, lane);
    }
    if (lane.running < this.#maxRunning) {
      lane.running++;
      return;
    }
    const { waiting } = lane;
    if (waiting.size >= this.#maxWaiting)
      throw new EgressError('overloaded', `too many calls to ${destination} are waiting`);
    await new Promise<void>((resolve, reject) => {
      const admit = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = () => {
        waiting.delete(admit);
        reject(signal.reason as Error);
      };
      waiting.add(admit);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Ends a turn; the one who waited longest takes it over. */
  leave(destination: string): void {
    const lane = this.#lanes.get(destination);
    if (!lane) return;
    const [next] = lane.waiting;
    if (next) {
      lane.waiting.delete(next);
      next();
    } else if (--lane.running === 0) {
      this.#lanes.delete(destination);
    }
  }

  get running(): number {
    let sum = 0;
    for (const lane of this.#lanes.values()) sum += lane.running;
    return sum;
  }

  get waiting(): number {
    let sum = 0;
    for (const lane of this.#lanes.values()) sum += lane.waiting.size;
    return sum;
  }
}
