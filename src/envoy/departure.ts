/** An Envoy that checks our health. */
interface Asker {
  askedMs: number;
  /** Between its last two checks. */
  gapMs: number;
  /** It was told that we are going. */
  told: boolean;
}

/** How often it is looked whether everybody knows, in milliseconds. */
const POLL_MS = 25;
/**
 * Until the workers of an Envoy that has heard it act on it, in milliseconds: it merges changes of health that follow
 * each other within a second (`update_merge_window`).
 */
const SETTLE_MS = 1_250;
/** By how much a check may come late, in milliseconds. */
const LATE_MS = 250;
/** What is taken for the gap between checks of who has asked only once, in milliseconds. */
const USUAL_GAP_MS = 1_000;
/** Who has not asked for so long is forgotten, in milliseconds. */
const FORGOTTEN_MS = 60_000;

/**
 * Says when a process that is going to stop gets no more new calls. Envoy stops sending them as soon as a health check
 * was answered NOT_SERVING, whatever its `unhealthy_threshold` (Envoy 1.40), and not before: a listener that closes
 * earlier costs requests (covered by test/e2e/assertion-rotation.test.ts).
 */
export class Departure {
  readonly #askers = new Map<string, Asker>();

  /** @param peer the connection that asked; Envoy keeps one for its checks */
  asked(peer: string, ready: boolean, nowMs: number): void {
    const before = this.#askers.get(peer);
    for (const [name, { askedMs }] of this.#askers) if (nowMs - askedMs > FORGOTTEN_MS) this.#askers.delete(name);
    const gapMs = before === undefined ? USUAL_GAP_MS : nowMs - before.askedMs;
    this.#askers.set(peer, { askedMs: nowMs, gapMs, told: !ready });
  }

  /** Resolves when everybody who checks has heard it, at once when nobody does; after `limitMs` at the latest. */
  async everybodyKnows(limitMs: number): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (this.#isAwaited(performance.now()) && performance.now() < deadline) await pause(POLL_MS);
    if ([...this.#askers.values()].some((asker) => asker.told)) await pause(SETTLE_MS);
  }

  #isAwaited(nowMs: number): boolean {
    return [...this.#askers.values()].some(
      // One whose next check is overdue has gone itself.
      ({ told, askedMs, gapMs }) => !told && nowMs - askedMs < 2 * gapMs + LATE_MS,
    );
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
