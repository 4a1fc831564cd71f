import type { Answered } from './client.ts';
import { DENIED, type Kind, KINDS } from './kinds.ts';
import type { Mishap, Outages } from './outages.ts';

/** One call: what is known about it before it is made, so that its backend can be told what to expect. */
export interface Call {
  readonly nonce: string;
  readonly kind: Kind;
  /** Who calls, if the credential is good. */
  readonly user: string;
  /** What must not arrive anywhere. */
  readonly credential: string;
  readonly startMs: number;
  /** What the body holds at `params.arguments.filler`. */
  readonly filler: string;
  /** Times that it has reached a backend. */
  arrivals: number;
}

export interface Finding {
  readonly time: string;
  readonly what: string;
  readonly kind: Kind | '-';
  readonly detail: string;
}

const COUNTED = ['calls', 'allowed', 'denied', 'outage', 'grace', 'outside', 'wrong', 'abandoned'] as const;
export type Counts = Record<(typeof COUNTED)[number], number>;

/** A call whose backend hears of it later than this is none that anybody waits for. */
const REMEMBERED_MS = 60_000;
/** Told of each sort; all are counted. */
const MAX_TOLD = 20;

/** Every call, and what came of it. */
export class Ledger {
  readonly counts = Object.fromEntries(
    KINDS.map((kind) => [kind, Object.fromEntries(COUNTED.map((name) => [name, 0]))]),
  ) as Record<Kind, Counts>;
  /** What must not be. */
  readonly findings: Finding[] = [];
  findingCount = 0;
  /** Unavailability by outage. */
  readonly excused = new Map<string, number>();
  /** Users whose account was lost in a way that nobody can avoid. */
  readonly forgone = new Set<string>();
  /** Of allowed calls, in milliseconds, for the report. */
  readonly latencies: number[] = [];
  readonly #calls = new Map<string, Call>();
  readonly #outages: Outages;

  constructor(outages: Outages) {
    this.#outages = outages;
  }

  begin(call: Omit<Call, 'startMs' | 'arrivals'>): Call {
    const begun = { ...call, startMs: Date.now(), arrivals: 0 };
    this.#calls.set(call.nonce, begun);
    this.counts[call.kind].calls++;
    return begun;
  }

  /** @param nonce as a backend heard it */
  find(nonce: string | undefined): Call | undefined {
    return nonce === undefined ? undefined : this.#calls.get(nonce);
  }

  wrong(what: string, kind: Kind | '-', detail: string): void {
    if (kind !== '-') this.counts[kind].wrong++;
    this.findingCount++;
    if (this.findings.filter((told) => told.what === what && told.kind === kind).length < MAX_TOLD)
      this.findings.push({ time: new Date().toISOString(), what, kind, detail: detail.slice(0, 400) });
  }

  ended(call: Call, answer: Answered): void {
    const counts = this.counts[call.kind];
    const denials = DENIED[call.kind];
    const { status } = answer;
    if (answer.hungUp) counts.abandoned++;
    else if (status === 200 && !answer.broken) {
      if (denials) return this.wrong('allowed', call.kind, `${call.user}: ${answer.body}`);
      counts.allowed++;
      this.latencies.push(answer.endMs - call.startMs);
    } else if (denials?.includes(status)) counts.denied++;
    else if (call.kind === 'upstream' && status === 403 && this.forgone.has(call.user)) counts.denied++;
    else this.#unanswered(call, answer);
  }

  #unanswered(call: Call, answer: Answered): void {
    const mishap = mishapOf(answer);
    const detail = `${call.user}: ${answer.status} ${answer.broken ?? ''} ${answer.body}`;
    if (!mishap) return this.wrong(`answered ${answer.status}`, call.kind, detail);
    const counts = this.counts[call.kind];
    const excuse = this.#outages.excuse(call.kind, mishap, call.startMs, answer.endMs);
    if (!excuse) {
      counts.outside++;
      counts.wrong--; // counted as what it is
      return this.wrong(`unavailable (${mishap}) though nothing is out of order`, call.kind, detail);
    }
    counts[excuse.when === 'inside' ? 'outage' : 'grace']++;
    this.excused.set(excuse.outage.name, (this.excused.get(excuse.outage.name) ?? 0) + 1);
  }

  /** Forgets calls that are over. */
  sweep(): void {
    const before = Date.now() - REMEMBERED_MS;
    for (const [nonce, { startMs }] of this.#calls) {
      if (startMs > before) return;
      this.#calls.delete(nonce);
    }
  }

  total(): Counts {
    const sum = Object.fromEntries(COUNTED.map((name) => [name, 0])) as Counts;
    for (const counts of Object.values(this.counts)) for (const name of COUNTED) sum[name] += counts[name];
    return sum;
  }
}

function mishapOf({ status, broken, headers }: Answered): Mishap | undefined {
  if (status === 503) return headers['retry-after'] === undefined ? 'unavailable' : 'retry later';
  if (broken !== undefined) return 'broken';
  return status === 500 ? 'internal' : undefined;
}
