/**
 * What was used already, until it expires. Only what our own service has signed gets here, so its rate and its minute
 * bound the memory.
 */
export class Remembered {
  /** In the order in which they came, which is nearly that in which they expire. */
  readonly #expires = new Map<string, number>();

  /** @param expires, now: seconds since the epoch. @returns false when it is known */
  add(id: string, expires: number, now: number): boolean {
    for (const [old, until] of this.#expires) {
      if (until > now) break;
      this.#expires.delete(old);
    }
    if (this.#expires.has(id)) return false;
    this.#expires.set(id, expires);
    return true;
  }

  get size(): number {
    return this.#expires.size;
  }
}
