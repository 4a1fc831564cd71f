import { randomBytes } from 'node:crypto';
import type { Config } from '../config/schema.ts';
import { systemClock, type Tools } from '../core/ports.ts';
import type { SealKey } from '../core/seal.ts';
import { createEgress, type Egress } from '../net/egress.ts';
import { type AuditSink, createAudit } from '../observe/audit.ts';
import { createLog, type LeveledLog } from '../observe/log.ts';
import { createMetrics, type PrometheusMetrics } from '../observe/metrics.ts';
import { Turnstile } from '../upstream/connect-turnstile.ts';
import { RefreshMemory } from '../upstream/refresh-memory.ts';
import { Parts } from './parts.ts';
import { startTracing, type TracedParts } from './tracing.ts';
import { Vaults } from './vaults.ts';

/** What lives as long as the process; a generation is built from it and a configuration. */
export interface Process {
  readonly log: LeveledLog;
  readonly metrics: PrometheusMetrics;
  readonly tools: Tools;
  readonly tracing: TracedParts;
  readonly audit: AuditSink;
  readonly egress: Egress;
  readonly vaults: Vaults;
  readonly refreshMemory: RefreshMemory;
  readonly turnstile: Turnstile;
  readonly parts: Parts;
  /** Tells this process from others; stands in leases. */
  readonly ownerId: string;
  /** What one process can do alone may use a key of its own; replicas behind one Envoy share those of the configuration. */
  readonly ownKeys: readonly SealKey[];
}

export async function createProcessParts({ log: { level }, audit }: Pick<Config, 'log' | 'audit'>): Promise<Process> {
  const plainLog = createLog(level);
  const metrics = createMetrics();
  const plainEgress = createEgress({ log: plainLog, metrics });
  const tracing = await startTracing(process.env, plainLog, metrics, plainEgress);
  const log = tracing.log(plainLog);
  const tools: Tools = { log, metrics, clock: systemClock, tracer: tracing.tracer };
  return {
    log,
    metrics,
    tools,
    tracing,
    audit: tracing.audit(createAudit(audit.destination, log)),
    egress: tracing.egress(plainEgress),
    vaults: new Vaults(tools),
    refreshMemory: new RefreshMemory(tools),
    turnstile: new Turnstile(systemClock),
    parts: new Parts(tools, metrics),
    ownerId: `${process.pid}-${randomBytes(6).toString('base64url')}`,
    ownKeys: [{ id: 'process', key: randomBytes(32) }],
  };
}
