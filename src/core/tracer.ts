import type { MaybePromise } from './maybe-promise.ts';
import type { TraceContext } from './trace-context.ts';

/**
 * Words of ours, names from the configuration, numbers. Never a token, an address of a person, an issuer or a subject:
 * traces go to systems that more people may look into than into the audit.
 */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** From whom a request came. */
export interface Entry {
  readonly from: TraceContext | undefined;
  readonly requestId?: string | undefined;
}

/** What features see of tracing. There is no tracer unless the operator has asked for traces: it costs nothing then. */
export interface Tracer {
  /** Answers somebody outside: a span in their trace, or the first one of a new trace. */
  enter<T>(name: string, entry: Entry, work: (here: TraceContext) => MaybePromise<T>): MaybePromise<T>;
  /** A step of what is under way. What is done at once is none, and where nothing is under way, only the work is done. */
  step<T>(name: string, attributes: SpanAttributes, work: () => MaybePromise<T>, kind?: 'client'): MaybePromise<T>;
  /** Work that nobody waits for: a trace of its own, with a link to where it was begun. */
  apart<T>(name: string, attributes: SpanAttributes, work: () => MaybePromise<T>): MaybePromise<T>;
  /** Says more about the span under way. @param fault one word; the span has failed */
  note(attributes: SpanAttributes, fault?: string): void;
  /** The span under way. */
  readonly here: TraceContext | undefined;
  /** The request under way, as far as its id is known. */
  readonly requestId: string | undefined;
}
