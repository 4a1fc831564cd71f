import type { Clock } from '../core/ports.ts';
import type { Sealer } from '../core/seal.ts';

/** Proofs may hold a nonce this long; a client is told the next one when it is over. */
const LIFE_MS = 5 * 60_000;
/** A new one is handed out this often. */
const RENEW_MS = 60_000;
/** Clocks of replicas differ by less. */
const SKEW_MS = 30_000;

/** Nonces of this server (RFC 9449 9): the sealed time, so that replicas know each other's without asking. */
export interface ProofNonces {
  /** What the next proof should hold. */
  current(): string;
  accepts(nonce: unknown): boolean;
}

/** @param sealer of a purpose of its own, with keys that all replicas share */
export function createProofNonces(sealer: Sealer, clock: Clock): ProofNonces {
  let made: { readonly text: string; readonly atMs: number } | undefined;
  return {
    current() {
      const nowMs = clock.nowMs();
      // A clock that was set back must not keep one alive.
      if (!made || nowMs - made.atMs >= RENEW_MS || nowMs < made.atMs) {
        made = { text: sealer.seal(String(nowMs), []), atMs: nowMs };
      }
      return made.text;
    },
    accepts(nonce) {
      if (typeof nonce !== 'string') return false;
      const opened = sealer.open(nonce, []);
      const ageMs = opened.ok ? clock.nowMs() - Number(opened.plaintext.toString('latin1')) : Number.NaN;
      return ageMs >= -SKEW_MS && ageMs < LIFE_MS;
    },
  };
}
