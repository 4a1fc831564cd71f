import type { Log } from '../core/ports.ts';
import type { Check } from '../envoy/ext-authz.ts';
import type { Handler } from '../http/server.ts';
import type { CallMetadata } from '../core/trace-context.ts';
import type { Phases } from '../pipeline/trace-carrier.ts';
import type { Generation } from './generation.ts';
import type { TracedParts } from './tracing.ts';

interface Shift {
  readonly generation: Generation;
  /** Calls that it has begun and not ended. */
  calls: number;
  retired: boolean;
  timer: NodeJS.Timeout | undefined;
}

/**
 * How long the calls of a generation that is not in use any more may take before it is closed, in milliseconds. Streams
 * that last longer go on: what they need then belongs to the process.
 */
const FINISH_LIMIT_MS = 60_000;

/**
 * The generation that new calls go to. Another one takes its place in one step; calls end on the generation that they
 * began on, and it is closed after the last of them.
 */
export class InUse {
  readonly #log: Log;
  readonly #tracing: Pick<TracedParts, 'carrier'>;
  #now: Shift;
  readonly #former = new Set<Shift>();

  constructor(first: Generation, log: Log, tracing: Pick<TracedParts, 'carrier'>) {
    this.#tracing = tracing;
    this.#log = log;
    this.#now = newShift(first);
    first.begin();
  }

  get generation(): Generation {
    return this.#now.generation;
  }

  /** Generations whose calls have not ended. */
  get former(): number {
    return this.#former.size;
  }

  swap(next: Generation): void {
    const before = this.#now;
    this.#now = newShift(next);
    next.begin();
    before.retired = true;
    this.#former.add(before);
    before.timer = setTimeout(() => {
      this.#log.info('calls of an earlier configuration go on', { calls: before.calls });
      this.#end(before);
    }, FINISH_LIMIT_MS).unref();
    if (before.calls === 0) this.#end(before);
  }

  /** Closes all of them. */
  close(): void {
    for (const shift of [...this.#former, this.#now]) this.#end(shift);
  }

  readonly check: Check = (request, signal, metadata) => {
    const shift = this.#now;
    const answer = shift.generation.check(request, signal, metadata);
    if (!(answer instanceof Promise)) return answer; // nothing can have changed meanwhile
    shift.calls++;
    return answer.finally(() => this.#leave(shift));
  };

  readonly newCarrier = (metadata: CallMetadata): Phases => {
    const shift = this.#now;
    shift.calls++;
    return this.#tracing.carrier(shift.generation.carrierParts, metadata, () => this.#leave(shift));
  };

  readonly handler: Handler = async (request, response, url) => {
    const shift = this.#now;
    shift.calls++;
    try {
      for (const handle of shift.generation.handlers) if (await handle(request, response, url)) return true;
      return false;
    } finally {
      this.#leave(shift);
    }
  };

  #leave(shift: Shift): void {
    shift.calls--;
    if (shift.retired && shift.calls === 0) this.#end(shift);
  }

  #end(shift: Shift): void {
    clearTimeout(shift.timer);
    if (this.#former.delete(shift) || shift === this.#now) shift.generation.close();
  }
}

function newShift(generation: Generation): Shift {
  return { generation, calls: 0, retired: false, timer: undefined };
}
