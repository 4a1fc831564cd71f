import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { memoryOf } from '../bench/cpu.ts';
import { send } from '../test/support/http.ts';
import type { Outages } from './outages.ts';

export interface Sample {
  readonly atMs: number;
  /** Which process: a restarted replica is another one. */
  readonly pid: number;
  readonly name: string;
  readonly rssMiB: number;
  readonly heapMiB: number;
  readonly handles: number;
  /** Longest time since the sample before in which the process did nothing else, in milliseconds. */
  readonly loopMs: number;
}

export interface Watched {
  readonly name: string;
  readonly pid: () => number | undefined;
  /** Prometheus text; undefined for what is no Node process. */
  readonly metricsUrl: string | undefined;
}

const EVERY_MS = 5_000;
const LOOK_MS = 250;
/** This process stood still for so long: then so did others on this machine, and deadlines have passed. */
const STALL_MS = 1_000;
const STALL_GRACE_MS = 5_000;

/** Looks at memory, handles and event loops of the processes, and whether the machine itself keeps up. */
export class Watch {
  readonly samples: Sample[] = [];
  /** Longest stall of this process, in milliseconds. */
  longestStallMs = 0;
  readonly #watched: readonly Watched[];
  readonly #outages: Outages;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #delay = monitorEventLoopDelay({ resolution: 20 });

  constructor(watched: readonly Watched[], outages: Outages) {
    this.#watched = watched;
    this.#outages = outages;
  }

  start(): void {
    this.#delay.enable();
    this.#timers.push(setInterval(() => this.#stalls(), LOOK_MS));
    this.#timers.push(setInterval(() => void this.sample(), EVERY_MS));
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#delay.disable();
  }

  async sample(): Promise<void> {
    const atMs = Date.now();
    for (const { name, pid: find, metricsUrl } of this.#watched) {
      const pid = find();
      if (pid === undefined) continue;
      try {
        const text = metricsUrl === undefined ? '' : (await send(metricsUrl, { limitMs: 4_000 })).body;
        const value = (metric: string) => Number(new RegExp(`^${metric} (\\S+)`, 'm').exec(text)?.[1] ?? 0);
        this.samples.push({
          atMs,
          pid,
          name,
          rssMiB: memoryOf(pid),
          heapMiB: value('nodejs_heap_size_used_bytes') / 1_048_576,
          handles: readdirSync(`/proc/${pid}/fd`).length,
          loopMs: value('nodejs_eventloop_lag_max_seconds') * 1_000,
        });
      } catch {
        // between two lives
      }
    }
  }

  #stalls(): void {
    const ms = this.#delay.max / 1e6;
    this.#delay.reset();
    this.longestStallMs = Math.max(this.longestStallMs, ms);
    if (ms < STALL_MS) return;
    const allows = ['retry later', 'unavailable', 'internal', 'broken'] as const;
    this.#outages.begin(
      { name: 'the machine stood still', affects: () => true, allows, graceMs: STALL_GRACE_MS },
      Date.now() - ms - LOOK_MS,
    )();
  }
}
