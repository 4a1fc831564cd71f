import { Worker } from 'node:worker_threads';

interface Job {
  readonly hash: string;
  readonly password: string;
  readonly resolve: (matches: boolean) => void;
  readonly reject: (error: Error) => void;
}

interface Slot {
  readonly worker: Worker;
  job: Job | undefined;
}

// tsc does not rewrite the extension here as it does for imports.
const WORKER = new URL(`./password-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);

/**
 * Checks passwords in threads of its own: on the event loop every call would wait for a hash, and in libuv's pool of
 * four, where node:crypto hashes, so would every name look-up of an outgoing call. Threads start when they are needed.
 */
export class PasswordPool {
  readonly #size: number;
  readonly #maxWaiting: number;
  readonly #slots = new Set<Slot>();
  /** Oldest first. */
  readonly #waiting = new Set<Job>();

  /**
   * @param size threads, which is hashes at a time
   * @param maxWaiting passwords that may wait for a thread
   */
  constructor(size: number, maxWaiting: number) {
    this.#size = size;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Whether `password` is the one `hash` was made of.
   * @param hash as `parsePasswordHash` takes it
   * @returns undefined when too many wait already
   * @throws the abort reason of `signal` while it waits for a thread; a hash that has begun is not interrupted
   */
  check(hash: string, password: string, signal: AbortSignal): Promise<boolean> | undefined {
    if (this.#waiting.size >= this.#maxWaiting) return undefined;
    return new Promise((resolve, reject) => {
      const job: Job = { hash, password, resolve, reject };
      const giveUp = () => {
        if (this.#waiting.delete(job)) reject(signal.reason as Error);
      };
      this.#waiting.add(job);
      this.#dispatch();
      signal.addEventListener('abort', giveUp, { once: true });
      if (signal.aborted) giveUp();
    });
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  close(): void {
    for (const { worker } of this.#slots) void worker.terminate();
    for (const job of this.#waiting) job.reject(new Error('no more passwords are checked'));
    this.#waiting.clear();
  }

  #dispatch(): void {
    for (const job of this.#waiting) {
      const slot = this.#idleSlot();
      if (!slot) return;
      this.#waiting.delete(job);
      slot.job = job;
      slot.worker.ref();
      slot.worker.postMessage({ hash: job.hash, password: job.password });
    }
  }

  #idleSlot(): Slot | undefined {
    for (const slot of this.#slots) if (!slot.job) return slot;
    return this.#slots.size < this.#size ? this.#start() : undefined;
  }

  #start(): Slot {
    const slot: Slot = { worker: new Worker(WORKER, { env: {}, execArgv: [] }), job: undefined };
    this.#slots.add(slot);
    const end = (): Job | undefined => {
      const { job } = slot;
      slot.job = undefined;
      return job;
    };
    const lost = (error: Error) => {
      this.#slots.delete(slot);
      end()?.reject(error);
      this.#dispatch();
    };
    slot.worker.on('message', (matches: boolean) => {
      slot.worker.unref(); // an idle thread keeps no process alive
      end()?.resolve(matches);
      this.#dispatch();
    });
    slot.worker.on('error', lost);
    slot.worker.on('exit', () => lost(new Error('the thread that checks passwords has ended')));
    return slot;
  }
}
