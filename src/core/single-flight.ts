/**
 * Shares one running job among all who ask for the same key. The job has its own limit and outlives callers
 * that hang up; a caller stops waiting when its signal aborts.
 */
export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>();

  /**
   * @param limitMs how long the job may take, in milliseconds
   * @throws the job's error, or the abort reason of `signal`
   */
  run(key: string, limitMs: number, job: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    let running = this.#running.get(key);
    if (!running) {
      running = job(AbortSignal.timeout(limitMs)).finally(() => this.#running.delete(key));
      running.catch(() => {}); // every caller may have gone; each of those that stay sees the error itself
      this.#running.set(key, running);
    }
    return signal ? abandonable(running, signal) : running;
  }

  get size(): number {
    return this.#running.size;
  }
}

/** Waits for `promise` until `signal` aborts; the promise itself goes on. */
export function abandonable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
