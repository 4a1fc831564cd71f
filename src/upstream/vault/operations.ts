import type { Counter, Histogram, Metrics } from '../../core/ports.ts';
import type { Tracer } from '../../core/tracer.ts';
import { VaultError } from './vault-error.ts';
import type { VaultErrorCode } from './vault-error.ts';

const OPERATIONS = [
  'read',
  'create',
  'compare_and_set',
  'mark_stale',
  'delete',
  'lease',
  'release',
  'once',
  'list',
  'ping',
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** How long one call to the store may take. */
export const OPERATION_LIMIT_MS = 2_000;

/** Seconds; from a memory hit to a store that hangs. */
const BUCKETS = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2];

/**
 * Runs an operation of the vault: it ends in time, is measured, and its failure is counted.
 * @throws the job's error, VaultError `unavailable` when the limit is over, or the abort reason of `signal`
 */
export type Run = <T>(operation: Operation, job: () => Promise<T>, signal: AbortSignal | undefined) => Promise<T>;

/** @param tracer each operation is a step of the trace that it is done in */
export function createRun(metrics: Metrics, limitMs: number, tracer?: Tracer): Run {
  const latency = {} as Record<Operation, Histogram>;
  const failures = {} as Record<Operation, Record<VaultErrorCode, Counter>>;
  for (const operation of OPERATIONS) {
    const failure = (code: VaultErrorCode) =>
      metrics.counter('mcp_identity_vault_errors_total', 'Failed operations of the vault', { operation, code });
    latency[operation] = metrics.histogram(
      'mcp_identity_vault_duration_seconds',
      'Time of operations of the vault',
      BUCKETS,
      { operation },
    );
    failures[operation] = {
      unavailable: failure('unavailable'),
      unknown_key: failure('unknown_key'),
      damaged: failure('damaged'),
    };
  }

  const run: Run = async (operation, job, signal) => {
    const started = performance.now();
    try {
      return await inTime(job, limitMs, signal);
    } catch (error) {
      if (error instanceof VaultError) failures[operation][error.code].inc();
      throw error;
    } finally {
      latency[operation].observe((performance.now() - started) / 1_000);
    }
  };
  if (!tracer) return run;
  return async (operation, job, signal) => tracer.step(`vault ${operation}`, {}, () => run(operation, job, signal));
}

/** Waits for the job until the limit is over or `signal` aborts; the job itself goes on. */
function inTime<T>(job: () => Promise<T>, limitMs: number, signal: AbortSignal | undefined): Promise<T> {
  if (signal?.aborted) return Promise.reject(signal.reason as Error);
  return new Promise((resolve, reject) => {
    const late = () => reject(new VaultError('unavailable', `the vault did not answer within ${limitMs} ms`));
    const stop = () => reject(signal?.reason as Error);
    const timer = setTimeout(late, limitMs);
    signal?.addEventListener('abort', stop, { once: true });
    job()
      .then(resolve, reject)
      .finally(() => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', stop);
      });
  });
}
