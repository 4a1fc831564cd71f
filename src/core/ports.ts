import type { Refusal } from './refusal.ts';
import type { Tracer } from './tracer.ts';

/** What features see of logging; `fields` never hold secrets. */
export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface Counter {
  inc(by?: number): void;
}

export interface Histogram {
  observe(value: number): void;
}

/**
 * What features see of metrics. Ask for a child once, when the feature is built; using it costs no look-up.
 * Labels come from configuration or closed sets only, so that their number is bounded.
 */
export interface Metrics {
  counter(name: string, help: string, labels?: Readonly<Record<string, string>>): Counter;
  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labels?: Readonly<Record<string, string>>,
  ): Histogram;
  /** A value that is read when somebody looks. */
  gauge(name: string, help: string, read: () => number, labels?: Readonly<Record<string, string>>): void;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
}

export const systemClock: Clock = { nowMs: () => Date.now() };

/** One line of the audit: contract §7. */
export interface AuditRecord {
  readonly time: string;
  readonly event: string;
  readonly outcome: 'allow' | 'deny' | 'error';
  readonly reason: string;
  readonly [field: string]: unknown;
}

export interface Audit {
  /** True while lines cannot be written; then nothing may pass. */
  readonly broken?: boolean;
  write(record: AuditRecord): void;
}

/**
 * Says whether something is used for the first time within `ttlMs`; all replicas that share a vault hear one "yes".
 * @throws when nobody can tell, or the abort reason of `signal`
 */
export type UseOnce = (key: string, ttlMs: number, signal: AbortSignal) => Promise<boolean>;

/** One thing that was looked at on the way to a decision. */
export interface Seen {
  /** A stable word for it: `origin`, `signature`, `audience`. */
  readonly check: string;
  /** The incoming method it is about. */
  readonly method?: string;
  /** `absent`: there was nothing of that kind to look at. Otherwise it holds, unless a refusal says why not. */
  readonly absent?: boolean;
  readonly refusal?: Refusal | undefined;
  /** What was compared with what, for the person who asked; never a secret. */
  readonly note?: string;
}

/** Told of each check in its order, by whoever makes it. Only `explain` listens; a service has none, and pays nothing. */
export type Observe = (seen: Seen) => void;

/** What every feature may be handed by the composition root. */
export interface Tools {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly observe?: Observe;
  /** Undefined unless the operator has asked for traces. */
  readonly tracer?: Tracer | undefined;
}

/** Hands out parts that stay the same, with all they remember, over changes of the configuration that do not touch them. */
export interface Keep {
  /**
   * The part of that name: the one that is there already when its settings are the same.
   * @param settings everything it is built from that a configuration can change
   * @param build `keep` holds what this part needs for as long as the part is there
   */
  take<T>(name: string, settings: unknown, build: (tools: Tools, keep: Keep) => T, close?: (part: T) => void): T;
}
