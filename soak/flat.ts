import type { Sample } from './watch.ts';

/** What is looked at: the same process, after caches have filled. */
const WARM_UP_SHARE = 0.5;
/** A shorter stretch says nothing about growth. */
const LEAST_MINUTES = 3;
/** Bounds for the growth after the warm-up. A leak of one KiB per call at 100 calls/s is 5.9 MiB a minute. */
export const BOUNDS = { rssMiB: 4, heapMiB: 4, handles: 5 } as const;

export interface Growth {
  readonly name: string;
  readonly pid: number;
  readonly minutes: number;
  /** Per minute, by least squares; undefined when the stretch is too short. */
  readonly perMinute: Readonly<Record<keyof typeof BOUNDS, number>> | undefined;
  readonly verdict: 'flat' | 'GROWS' | 'too short to judge';
}

/** One judgement per process, in the order of their first sample. */
export function growth(samples: readonly Sample[]): Growth[] {
  const byPid = Map.groupBy(samples, ({ pid }) => pid);
  return [...byPid].map(([pid, all]) => {
    const late = all.slice(Math.floor(all.length * WARM_UP_SHARE));
    const { name } = all[0] as Sample;
    const minutes = late.length < 2 ? 0 : ((late.at(-1) as Sample).atMs - (late[0] as Sample).atMs) / 60_000;
    if (minutes < LEAST_MINUTES) return { name, pid, minutes, perMinute: undefined, verdict: 'too short to judge' };
    const perMinute = {
      rssMiB: slope(late, ({ rssMiB }) => rssMiB),
      heapMiB: slope(floors(late), ({ heapMiB }) => heapMiB),
      handles: slope(late, ({ handles }) => handles),
    };
    const grows = (Object.keys(BOUNDS) as (keyof typeof BOUNDS)[]).some((key) => perMinute[key] > BOUNDS[key]);
    return { name, pid, minutes, perMinute, verdict: grows ? 'GROWS' : 'flat' };
  });
}

/** The least heap of each minute: what is left after a collection. In between it rises and falls by tens of MiB. */
function floors(samples: readonly Sample[]): Sample[] {
  const byMinute = Map.groupBy(samples, ({ atMs }) => Math.floor(atMs / 60_000));
  return [...byMinute.values()].map((all) => all.reduce((least, one) => (one.heapMiB < least.heapMiB ? one : least)));
}

function slope(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const times = samples.map(({ atMs }) => atMs / 60_000);
  const values = samples.map(of);
  const [time, value] = [mean(times), mean(values)];
  const spread = times.reduce((sum, one) => sum + (one - time) ** 2, 0);
  return times.reduce((sum, one, i) => sum + (one - time) * ((values[i] as number) - value), 0) / spread;
}
