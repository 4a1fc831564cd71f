import type { Peer } from '../core/request-facts.ts';

/** A request as somebody describes it, before Envoy has seen it. */
export interface Sent {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** With the port where the client names it. */
  readonly host: string;
  /** With query. */
  readonly path: string;
  /** Lower-case name, value as latin-1 text. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer | undefined;
  /** Undefined when nobody said who connects to Envoy. */
  readonly peer: Peer | undefined;
}

/** One thing that was looked at, in its order. */
export interface Step {
  /** Where on the way: `route`, `filters`, `policy`, `credential`, … */
  readonly hop: string;
  /** `passed` and `refused` are judgements; `assumed` stands for one that was not made; `note` only tells. */
  readonly result: 'passed' | 'refused' | 'absent' | 'assumed' | 'note';
  readonly text: string;
}

/** Something that was not done, or not looked at, so that the answer depends on it. */
export interface Assumption {
  readonly text: string;
  /** If it does not hold, the request is refused all the same, only for another reason. */
  readonly refusedOtherwise: boolean;
}

/** Collects what an explanation is made of. */
export class Notebook {
  readonly steps: Step[] = [];
  readonly assumptions: Assumption[] = [];

  step(hop: string, result: Step['result'], text: string): void {
    this.steps.push({ hop, result, text });
  }

  /** Once, however often it is met. */
  assume(hop: string, text: string, refusedOtherwise: boolean): void {
    if (this.assumptions.some((one) => one.text === text)) return;
    this.assumptions.push({ text, refusedOtherwise });
    this.step(hop, 'assumed', text);
  }
}
