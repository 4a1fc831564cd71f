import type { Config } from '../config/schema.ts';
import { stateOf } from '../config/file-watch.ts';
import type { Counter } from '../core/ports.ts';
import { pathText, type Problem } from '../core/problem.ts';
import type { EnvoyValidation } from '../policy/validate-envoy.ts';
import { buildGeneration, type Generation } from './generation.ts';
import type { InUse } from './in-use.ts';
import type { Process } from './process.ts';
import { restartProblems } from './restart.ts';

/** What the files say. */
export interface Candidate {
  readonly problems: readonly Problem[];
  /** There when nothing is wrong but warnings. */
  readonly config: Config | undefined;
  readonly envoy: Pick<EnvoyValidation, 'policies' | 'proofs'>;
  /** Absolute paths of everything that was read; the config file first. */
  readonly files: readonly string[];
}

/** A candidate that the service can start with. */
export type Valid = Candidate & { readonly config: Config };

/** Reads and validates the files anew; never throws for what stands in them. */
export type Load = () => Promise<Candidate>;

export type ReloadOutcome = 'applied' | 'unchanged' | 'rejected';

/** How soon it is tried again when the files are right and something else was not, in milliseconds. */
const RETRY_MS = 5_000;
/** Between two looks at files that change while they are read, in milliseconds. */
const PAUSE_MS = 200;
const MAX_LOOKS = 10;
/** Problems of one configuration that are logged one by one. */
const MAX_LOGGED = 50;

/** Puts what the files say in place of what runs; what is wrong with them changes nothing. */
export class Reloader {
  readonly #house: Process;
  readonly #inUse: InUse;
  readonly #load: Load;
  readonly #first: Config;
  readonly #counters: Readonly<Record<ReloadOutcome, Counter>>;
  /** Of what runs. */
  #fingerprint: string;
  #files: readonly string[];
  #succeededMs: number;
  #generations = 1;
  /** What was wrong with the files that do not run; empty when they do. */
  #rejected: readonly Problem[] = [];
  #queue: Promise<unknown> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param first what runs */
  constructor(house: Process, inUse: InUse, first: Valid, load: Load) {
    const { metrics, clock } = house.tools;
    this.#house = house;
    this.#inUse = inUse;
    this.#load = load;
    this.#first = first.config;
    this.#fingerprint = this.#fingerprintOf(first);
    this.#files = first.files;
    this.#succeededMs = clock.nowMs();
    const counter = (outcome: ReloadOutcome) =>
      metrics.counter('mcp_identity_config_reloads_total', 'Reloads of the configuration', { outcome });
    this.#counters = { applied: counter('applied'), unchanged: counter('unchanged'), rejected: counter('rejected') };
    metrics.gauge(
      'mcp_identity_config_last_reload_success_timestamp_seconds',
      'When the running configuration was last found to be the one on disk',
      () => this.#succeededMs / 1_000,
    );
    metrics.gauge('mcp_identity_config_stale', '1 while the configuration on disk is not the one that runs', () =>
      this.#rejected.length > 0 ? 1 : 0,
    );
    metrics.gauge('mcp_identity_config_generation', 'Configurations that have run', () => this.#generations);
    metrics.gauge(
      'mcp_identity_config_former_generations',
      'Earlier configurations whose calls have not ended',
      () => inUse.former,
    );
  }

  /** What is wrong with the configuration on disk; empty when it is the one that runs. */
  get rejected(): readonly Problem[] {
    return this.#rejected;
  }

  /** What there is to watch. */
  get files(): readonly string[] {
    return this.#files;
  }

  /**
   * One at a time, in the order they were asked for. Never rejects.
   * @param why who asked, for the log
   * @returns what came of it, and the state of the files (`stateOf`) that it was judged by
   */
  reload(why: string): Promise<{ readonly outcome: ReloadOutcome; readonly state: string }> {
    const job = this.#queue.then(() => this.#reload(why));
    this.#queue = job;
    return job;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
  }

  async #reload(why: string) {
    clearTimeout(this.#retry);
    const { state, candidate } = await this.#read();
    let outcome: ReloadOutcome;
    try {
      outcome = await this.#apply(candidate, why);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      outcome = this.#reject(candidate, [faultOf(candidate, message)], why, true);
    }
    // A wrong configuration may not say what it would read.
    this.#files = outcome === 'rejected' ? [...new Set([...candidate.files, ...this.#files])] : candidate.files;
    return { outcome, state };
  }

  /** Reads the files as they were at one moment. */
  async #read(): Promise<{ state: string; candidate: Candidate }> {
    for (let looks = 1; ; looks++) {
      const before = stateOf(this.#files);
      const candidate = await this.#load().catch((error: unknown) => this.#unread(error));
      if (before === stateOf(this.#files) || looks === MAX_LOOKS) return { state: before, candidate };
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS).unref());
    }
  }

  /** Stands for files that a fault of ours keeps from being read: what runs goes on. */
  #unread(error: unknown): Candidate {
    const files = this.#files;
    const message = error instanceof Error ? error.message : String(error);
    return {
      problems: [faultOf({ files }, message)],
      config: undefined,
      envoy: { policies: [], proofs: new Map() },
      files,
    };
  }

  async #apply(candidate: Candidate, why: string): Promise<ReloadOutcome> {
    const { config } = candidate;
    const errors = candidate.problems.filter((problem) => problem.severity === 'error');
    if (!config) return this.#reject(candidate, errors, why, false);
    const valid: Valid = { ...candidate, config };
    const fixed = { config: this.#first, store: this.#house.vaults.store };
    const restart = restartProblems(config, fixed, candidate.files[0] ?? '');
    if (restart.length > 0) return this.#reject(candidate, restart, why, false);
    const fingerprint = this.#fingerprintOf(valid);
    if (fingerprint === this.#fingerprint) return this.#accept('unchanged', why);

    const before = this.#inUse.generation;
    const next = await buildGeneration(this.#house, config, candidate.envoy, before);
    try {
      await Promise.all([next.warm(), next.routes.envoy.watch()]);
      const broken = newErrors(before, next);
      if (broken.length > 0 || this.#closed) {
        next.close();
        return this.#reject(candidate, broken, why, true);
      }
    } catch (error) {
      next.close();
      throw error;
    }
    this.#inUse.swap(next);
    this.#fingerprint = fingerprint;
    this.#generations++;
    return this.#accept('applied', why);
  }

  #accept(outcome: 'applied' | 'unchanged', why: string): ReloadOutcome {
    const { log, clock } = this.#house.tools;
    this.#rejected = [];
    this.#succeededMs = clock.nowMs();
    this.#counters[outcome].inc();
    if (outcome === 'applied') log.info('a new configuration is in use', { why, generation: this.#generations });
    else log.info('the configuration on disk is the one in use', { why });
    return outcome;
  }

  /** @param again the files are not to blame: it may work later */
  #reject({ files }: Candidate, problems: readonly Problem[], why: string, again: boolean): ReloadOutcome {
    const { log } = this.#house.tools;
    if (this.#closed) return 'rejected';
    const told = JSON.stringify(this.#rejected) === JSON.stringify(problems);
    this.#rejected = problems;
    if (again) this.#retry = setTimeout(() => void this.reload('retry'), RETRY_MS).unref();
    if (told && why === 'retry') return 'rejected';
    this.#counters.rejected.inc();
    for (const { code, file, line, path, message, mend } of problems.slice(0, MAX_LOGGED))
      log.error('the new configuration is wrong', {
        code,
        file,
        ...(line === undefined ? {} : { line }),
        path: pathText(path),
        problem: message,
        mend,
      });
    log.error('the new configuration is rejected; the one before goes on', {
      why,
      problems: problems.length,
      config: files[0],
      generation: this.#generations,
    });
    return 'rejected';
  }

  #fingerprintOf({ config, envoy: { policies, proofs } }: Valid): string {
    return this.#house.parts.fingerprint({ config, policies, proofs });
  }
}

/** What the running Envoy would lose: a route that works now and would be refused. */
function newErrors(before: Generation, next: Generation): Problem[] {
  if (before.routes.envoy.seen === undefined) return [];
  const textOf = ({ code, path, message }: Problem) => JSON.stringify([code, path, message]);
  const known = new Set(before.routes.envoy.errors.map(textOf));
  return next.routes.envoy.errors
    .filter((problem) => !known.has(textOf(problem)))
    .map((problem) => ({
      ...problem,
      message: `the Envoy that runs needs what the new configuration takes away: ${problem.message}`,
      mend: 'change the routes of Envoy first; the configuration is tried again by itself',
    }));
}

function faultOf({ files }: Pick<Candidate, 'files'>, message: string): Problem {
  return {
    code: 'FILE',
    severity: 'error',
    file: files[0] ?? '',
    path: [],
    message: `cannot be used: ${message}`,
    mend: 'correct what it names; it is tried again by itself',
  };
}
