/** Room for the answer's way back, in milliseconds. */
const WAY_BACK_MS = 250;

/**
 * By when a call that still waits is to be given up, so that its peer hears our refusal (503 with Retry-After) and does
 * not make one itself: Envoy's has neither (covered by test/e2e/outages.test.ts).
 * @param timeoutMs what the peer gives us
 */
export function answerWithinMs(timeoutMs: number): number {
  return Math.max(0, timeoutMs - Math.min(WAY_BACK_MS, timeoutMs / 10));
}
