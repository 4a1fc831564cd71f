import * as fc from 'fast-check';

/** One parser of what outsiders control, and what must be true of it whatever it is given. */
export interface Target {
  readonly name: string;
  /** What is checked of every input, for the report. Beside these: no crash, no unhandled rejection, no slow input. */
  readonly holds: string;
  /** Looks at inputs, made at random from `seed`, until `limitMs` are over or `runs` are done. */
  run(options: RunOptions): Promise<Ran>;
}

export interface RunOptions {
  readonly seed: number;
  readonly runs?: number;
  readonly limitMs?: number;
  /** Where an earlier run of the same seed found something. */
  readonly path?: string;
  /** An input that takes too long for this parser is a finding. */
  readonly timed?: boolean;
}

export interface Ran {
  readonly inputs: number;
  readonly finding?: Finding;
}

export interface Finding {
  readonly seed: number;
  readonly path: string;
  /** The smallest input that was found, printed. */
  readonly input: string;
  readonly error: string;
}

/** What one input may take that an outsider sends, in milliseconds. */
const SLOW_MS = 100;
/** What the file of an operator may take: a hundred kilobytes of broken YAML cost the parser two seconds. */
export const SLOW_FILE_MS = 5_000;

/** An input is timed again before it counts as slow: something else may have been cleaned up meanwhile. */
const TIMES = 4;

/** An input that has not ended so long after the last one was begun hangs, in milliseconds. */
const HANG_MS = 10_000;

async function endsIn(promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), limitMs);
  });
  const ended = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return ended;
}

/**
 * @param seeds inputs that are tried in each run, before those made at random
 * @param slowMs a longer time for one input is a finding, in milliseconds
 */
export function target<T>(
  name: string,
  holds: string,
  input: fc.Arbitrary<T>,
  check: (value: T) => void | Promise<void>,
  seeds: readonly T[] = [],
  slowMs = SLOW_MS,
): Target {
  let last: { readonly value: T; readonly ended: Promise<unknown> } | undefined;
  const timeOf = async (value: T): Promise<number> => {
    // Of the processor, not of the clock: the machine may be busy with other things.
    const before = process.cpuUsage();
    const running = Promise.resolve(check(value));
    last = { value, ended: running.catch(() => {}) };
    await running;
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
  return {
    name,
    holds,
    async run({ seed, runs = 1_000_000_000, limitMs, path, timed = false }) {
      const property = fc.asyncProperty(input, async (value) => {
        let best = Infinity;
        for (let i = 0; i < TIMES; i++) {
          best = Math.min(best, await timeOf(value));
          if (!timed || best <= slowMs) return;
        }
        throw new Error(`took ${Math.round(best)} ms`);
      });
      const details = await fc.check(property, {
        seed,
        numRuns: runs,
        maxSkipsPerRun: 1_000,
        ...(limitMs === undefined ? {} : { interruptAfterTimeLimit: limitMs }),
        ...(path === undefined ? { examples: seeds.map((value): [T] => [value]) } : { path }),
      });
      const inputs = details.numRuns;
      // Time may be up in the middle of an input; one that never ends would be the worst of findings.
      const stuck = last && !(await endsIn(last.ended, HANG_MS)) ? last : undefined;
      if (stuck)
        return { inputs, finding: { seed, path: '', input: fc.stringify(stuck.value), error: 'it did not end' } };
      if (!details.failed || details.counterexample === null) return { inputs };
      const { counterexample, counterexamplePath, errorInstance } = details;
      const error = errorInstance instanceof Error ? (errorInstance.stack ?? errorInstance.message) : errorInstance;
      return {
        inputs,
        finding: {
          seed: details.seed,
          path: counterexamplePath ?? '',
          input: fc.stringify(counterexample[0]),
          error: String(error),
        },
      };
    },
  };
}
