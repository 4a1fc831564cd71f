/** Whether the service is ready, and why not. Listeners are told of each change. */
export class Health {
  #reason: string | undefined = 'starting';
  readonly #watchers = new Set<(ready: boolean) => void>();

  get ready(): boolean {
    return this.#reason === undefined;
  }

  /** Why it is not ready; undefined when it is. */
  get reason(): string | undefined {
    return this.#reason;
  }

  set(reason: string | undefined): void {
    const before = this.ready;
    this.#reason = reason;
    if (before !== this.ready) for (const tell of this.#watchers) tell(this.ready);
  }

  /** @returns a function that ends the watch */
  watch(tell: (ready: boolean) => void): () => void {
    this.#watchers.add(tell);
    return () => this.#watchers.delete(tell);
  }
}
