import type { Kind } from './kinds.ts';

/** What may happen to a call while something is out of order: 503 with Retry-After, any 503, 500, or a broken connection. */
export type Mishap = 'retry later' | 'unavailable' | 'internal' | 'broken';

export interface Outage {
  readonly name: string;
  readonly affects: (kind: Kind) => boolean;
  readonly allows: readonly Mishap[];
  /** How long its consequences last after its end. */
  readonly graceMs: number;
  readonly fromMs: number;
  /** Undefined while it lasts. */
  untilMs: number | undefined;
}

export type Excuse = { readonly outage: Outage; readonly when: 'inside' | 'grace' };

/** The announced times in which something may be unavailable. */
export class Outages {
  readonly all: Outage[] = [];

  /** @returns ends it */
  begin(outage: Omit<Outage, 'fromMs' | 'untilMs'>, fromMs = Date.now()): () => void {
    const begun: Outage = { ...outage, fromMs, untilMs: undefined };
    this.all.push(begun);
    return () => {
      begun.untilMs ??= Date.now();
    };
  }

  /** Why a call that lasted from `startMs` to `endMs` may have met with that. */
  excuse(kind: Kind, mishap: Mishap, startMs: number, endMs: number): Excuse | undefined {
    let late: Excuse | undefined;
    for (const outage of this.all) {
      if (!outage.affects(kind) || !outage.allows.includes(mishap) || endMs < outage.fromMs) continue;
      const untilMs = outage.untilMs ?? Infinity;
      if (startMs <= untilMs) return { outage, when: 'inside' };
      if (startMs <= untilMs + outage.graceMs) late = { outage, when: 'grace' };
    }
    return late;
  }
}
