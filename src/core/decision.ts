import type { HeaderEdits } from './header-edits.ts';

/** The request goes on to the backend with these edits. Built in pipeline/decide.ts and nowhere else. */
export interface Allow {
  readonly kind: 'allow';
  readonly edits: HeaderEdits;
  /** Sealed plan for ext_proc, on routes where it has something to do. */
  readonly handoff?: string;
}

/** Envoy answers the client itself. */
export interface Deny {
  readonly kind: 'deny';
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

export type Decision = Allow | Deny;
