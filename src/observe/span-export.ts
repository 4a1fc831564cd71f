import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace';
import type { Counter, Log, Metrics } from '../core/ports.ts';
import { abandonable } from '../core/single-flight.ts';
import type { TracingSettings } from './tracing-settings.ts';

/** One POST; the composition root says how it leaves the house. */
export type SendTraces = (
  url: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array<ArrayBuffer>,
  signal: AbortSignal | undefined,
) => Promise<{ readonly status: number }>;

export interface TracingParts {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly send: SendTraces;
}

/** While a collector is away, every export fails: it is logged this often at most, in milliseconds. */
const WARN_EVERY_MS = 60_000;
const zip = promisify(gzip);

/**
 * Ended spans on their way to the collector: a queue with an end, sent in batches behind everybody's back. A span that
 * finds no room, or that the collector does not take, is gone; nothing ever waits for one.
 */
export class SpanQueue extends BatchSpanProcessor {
  readonly #room: number;
  readonly #dropped: Counter;
  readonly #exporter: Exporter;

  constructor({ batch, ...settings }: TracingSettings, parts: TracingParts) {
    const exporter = new Exporter(settings, parts);
    super({
      exporter,
      maxQueueSize: batch.queue,
      maxExportBatchSize: batch.size,
      scheduledDelayMillis: batch.delayMs,
      exportTimeoutMillis: settings.timeoutMs + 1_000, // the exporter has a limit of its own, and says more
    });
    this.#room = batch.queue;
    this.#dropped = counterOf(parts.metrics, 'dropped');
    this.#exporter = exporter;
  }

  override onEnd(span: ReadableSpan): void {
    if (this.#exporter.waiting >= this.#room) return this.#dropped.inc();
    if ((span.spanContext().traceFlags & 1) === 1) this.#exporter.waiting++;
    super.onEnd(span);
  }

  /** The end is near: what is sent from now on, and what is being sent, has this long. */
  hurry(limitMs: number): void {
    this.#exporter.hurry(limitMs);
  }
}

class Exporter implements SpanExporter {
  /** Spans in the queue. */
  waiting = 0;
  readonly #settings: Omit<TracingSettings, 'batch'>;
  readonly #parts: TracingParts;
  readonly #exported: Counter;
  readonly #failed: Counter;
  readonly #end = new AbortController();
  #warnedMs = -Infinity;

  constructor(settings: Omit<TracingSettings, 'batch'>, parts: TracingParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#exported = counterOf(parts.metrics, 'exported');
    this.#failed = counterOf(parts.metrics, 'failed');
  }

  export(spans: ReadableSpan[], done: (result: { code: number; error?: Error }) => void): void {
    this.waiting -= spans.length;
    abandonable(this.#send(spans), this.#end.signal).then(
      () => {
        this.#exported.inc(spans.length);
        done({ code: 0 });
      },
      (error: unknown) => {
        this.#failed.inc(spans.length);
        this.#warn(error);
        // Told as done: there is nothing that the SDK could do about it.
        done({ code: 0 });
      },
    );
  }

  hurry(limitMs: number): void {
    setTimeout(() => this.#end.abort(), limitMs).unref();
  }

  shutdown(): Promise<void> {
    return Promise.resolve();
  }

  async #send(spans: ReadableSpan[]): Promise<void> {
    const { encoding, gzip: zipped, endpoint, headers } = this.#settings;
    const serializer = encoding === 'json' ? JsonTraceSerializer : ProtobufTraceSerializer;
    const bytes = new Uint8Array(serializer.serializeRequest(spans) ?? []);
    const { status } = await this.#parts.send(
      endpoint,
      {
        ...headers,
        'content-type': encoding === 'json' ? 'application/json' : 'application/x-protobuf',
        ...(zipped && { 'content-encoding': 'gzip' }),
      },
      zipped ? new Uint8Array(await zip(bytes)) : bytes,
      this.#end.signal,
    );
    if (status < 200 || status > 299) throw Object.assign(new Error('refused'), { code: String(status) });
  }

  #warn(error: unknown): void {
    const nowMs = performance.now();
    if (nowMs - this.#warnedMs < WARN_EVERY_MS) return;
    this.#warnedMs = nowMs;
    // The code only: a message may hold the address, and with it the credential that some collectors want there.
    const { code } = error as { code?: unknown };
    this.#parts.log.warn('traces could not be sent; they are dropped until the collector takes them again', {
      fault: typeof code === 'string' ? code : 'failed',
    });
  }
}

function counterOf(metrics: Metrics, outcome: 'exported' | 'failed' | 'dropped'): Counter {
  return metrics.counter('mcp_identity_trace_spans_total', 'Spans of traces that have ended', { outcome });
}
