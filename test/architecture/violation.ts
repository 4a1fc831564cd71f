export interface Violation {
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly problem: string;
}
