import type { Log, Metrics, Tools } from '../core/ports.ts';
import { openPlan } from '../pipeline/plan.ts';
import type { CarrierParts } from '../pipeline/carry-out.ts';
import { Carrier } from '../pipeline/carry-out.ts';
import { type Phases, traceCarrier } from '../pipeline/trace-carrier.ts';
import type { CallMetadata } from '../core/trace-context.ts';
import type { Egress } from '../net/egress.ts';
import { traceEgress } from '../net/trace-egress.ts';
import type { AuditSink } from '../observe/audit.ts';
import { versionOfPackage } from '../observe/build-info.ts';
import { traceAudit, traceLog } from '../observe/trace-lines.ts';
import { readTracingSettings } from '../observe/tracing-settings.ts';

/** How tracing gets into the parts of the service; while the operator wants no traces, every part stays as it is. */
export interface TracedParts {
  readonly tracer: Tools['tracer'];
  log<L extends Log>(log: L): L;
  audit(audit: AuditSink): AuditSink;
  egress(egress: Egress): Egress;
  /** @param ended told once, when nothing of the request follows */
  carrier(parts: CarrierParts, metadata: CallMetadata, ended?: () => void): Phases;
  /** Sends what is still in memory. */
  close(): Promise<void>;
}

/** For the last spans at the end of the process, in milliseconds. */
const CLOSE_LIMIT_MS = 3_000;

const OFF: TracedParts = {
  tracer: undefined,
  log: (log) => log,
  audit: (audit) => audit,
  egress: (egress) => egress,
  carrier: (parts, _metadata, ended) => new Carrier(parts, ended),
  close: () => Promise.resolve(),
};

/**
 * Tracing as the environment variables of OpenTelemetry ask for it. What cannot be done is logged and never keeps the
 * service from starting.
 * @param egress as it is without tracing
 */
export async function startTracing(
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
  metrics: Metrics,
  egress: Egress,
): Promise<TracedParts> {
  const { settings, problems } = readTracingSettings(env);
  for (const problem of problems) log.warn('tracing is not as it was asked for', { problem });
  if (!settings) return OFF;
  // Thousands of lines that nobody needs who does not trace.
  const { createTracing } = await import('../observe/tracing.ts');
  const { timeoutMs, endpoint, handOn } = settings;
  // Not the egress that makes steps of its calls: sending traces makes no traces.
  const post = egress.for('traces', {
    timeoutMs,
    plainHttp: true, // collectors stand in the same cluster, and spans hold no secret
  });
  const tracing = createTracing(settings, {
    log,
    metrics,
    version: versionOfPackage(),
    send: (url, headers, body, signal) => post(url, { method: 'POST', headers, body, signal }),
  });
  const { tracer } = tracing;
  log.info('tracing', { origin: new URL(endpoint).origin, ...settings.sampler });
  return {
    tracer,
    log: (plain) => traceLog(plain, tracer),
    audit: (plain) => traceAudit(plain, tracer),
    egress: (plain) => traceEgress(plain, tracer, handOn),
    carrier: (parts, metadata, ended) =>
      traceCarrier(
        new Carrier(parts, ended),
        tracer,
        metadata,
        (sealed, requestId) => openPlan(parts.sealer, sealed, requestId)?.trace,
      ),
    close: () => tracing.close(CLOSE_LIMIT_MS),
  };
}
