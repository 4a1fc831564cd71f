import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import {
  type Attributes,
  type Context,
  createTraceState,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
} from '@opentelemetry/api';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { MaybePromise } from '../core/maybe-promise.ts';
import type { TraceContext } from '../core/trace-context.ts';
import type { Entry, SpanAttributes, Tracer } from '../core/tracer.ts';
import { SpanQueue, type TracingParts } from './span-export.ts';
import type { TracingSettings } from './tracing-settings.ts';

export interface Tracing {
  readonly tracer: Tracer;
  /** Sends what is still in memory, for as long as `limitMs`. Never rejects. */
  readonly close: (limitMs: number) => Promise<void>;
}

interface Active {
  readonly span: Span;
  readonly context: Context;
  readonly requestId: string | undefined;
}

/** An attribute is a word or a name; whatever else gets here is cut. */
const MAX_VALUE_LENGTH = 256;
/** Ids that Envoy makes, or others of that kind: an outsider's text is none of a trace's business. */
const REQUEST_ID = /^[\w-]{1,64}$/;

/** The only place that knows OpenTelemetry's classes; loaded only when the operator asks for traces. */
export function createTracing(settings: TracingSettings, parts: TracingParts & { readonly version: string }): Tracing {
  const queue = new SpanQueue(settings, parts);
  const provider = new TracerProvider({
    resource: defaultResource()
      .merge(
        resourceFromAttributes({
          'service.name': 'envoy-mcp-identity',
          'service.version': parts.version,
          'service.instance.id': randomUUID(),
        }),
      )
      .merge(detectResources({ detectors: [envDetector] })),
    sampler: samplerOf(settings.sampler),
    spanLimits: { attributeValueLengthLimit: MAX_VALUE_LENGTH },
    spanProcessors: [queue],
  });
  return {
    tracer: new OtelTracer(provider),
    close: async (limitMs) => {
      queue.hurry(limitMs);
      await provider.shutdown().catch(() => {}); // what could not be sent is counted and logged
    },
  };
}

class OtelTracer implements Tracer {
  readonly #otel: ReturnType<TracerProvider['getTracer']>;
  readonly #active = new AsyncLocalStorage<Active>();

  constructor(provider: TracerProvider) {
    this.#otel = provider.getTracer('envoy-mcp-identity');
  }

  get here(): TraceContext | undefined {
    const active = this.#active.getStore();
    return active && contextOf(active.span);
  }

  get requestId(): string | undefined {
    return this.#active.getStore()?.requestId;
  }

  enter<T>(name: string, { from, requestId }: Entry, work: (here: TraceContext) => MaybePromise<T>): MaybePromise<T> {
    const known = requestId !== undefined && REQUEST_ID.test(requestId) ? requestId : undefined;
    const span = this.#otel.startSpan(
      name,
      { kind: SpanKind.SERVER, attributes: known === undefined ? {} : { 'mcp_identity.request_id': known } },
      from ? remote(from) : ROOT_CONTEXT,
    );
    return this.#run(span, ROOT_CONTEXT, known, () => work(contextOf(span)), true);
  }

  step<T>(name: string, attributes: SpanAttributes, work: () => MaybePromise<T>, kind?: 'client'): MaybePromise<T> {
    const active = this.#active.getStore();
    if (!active) return work();
    const options = { kind: kind === 'client' ? SpanKind.CLIENT : SpanKind.INTERNAL, attributes: defined(attributes) };
    const span = this.#otel.startSpan(name, options, active.context);
    return this.#run(span, active.context, active.requestId, work, false);
  }

  apart<T>(name: string, attributes: SpanAttributes, work: () => MaybePromise<T>): MaybePromise<T> {
    const active = this.#active.getStore();
    const links: Link[] = active ? [{ context: active.span.spanContext() }] : [];
    const span = this.#otel.startSpan(name, { links, attributes: defined(attributes) }, ROOT_CONTEXT);
    return this.#run(span, ROOT_CONTEXT, undefined, work, true);
  }

  note(attributes: SpanAttributes, fault?: string): void {
    const span = this.#active.getStore()?.span;
    if (!span?.isRecording()) return;
    span.setAttributes(defined(attributes));
    if (fault !== undefined) failed(span, fault);
  }

  /** @param always a span even when the work is done at once */
  #run<T>(
    span: Span,
    context: Context,
    requestId: string | undefined,
    work: () => MaybePromise<T>,
    always: boolean,
  ): MaybePromise<T> {
    const broken = (error: unknown): never => {
      failed(span, faultOf(error));
      span.end();
      throw error;
    };
    try {
      const result = this.#active.run({ span, context: trace.setSpan(context, span), requestId }, work);
      if (result instanceof Promise)
        return result.then((value) => {
          span.end();
          return value;
        }, broken);
      if (always) span.end();
      return result;
    } catch (error) {
      return broken(error);
    }
  }
}

function samplerOf({ parentBased, ratio }: TracingSettings['sampler']): Sampler {
  const root =
    ratio === 1 ? new AlwaysOnSampler() : ratio === 0 ? new AlwaysOffSampler() : new TraceIdRatioBasedSampler(ratio);
  return parentBased ? new ParentBasedSampler({ root }) : root;
}

function remote({ traceId, spanId, sampled, state }: TraceContext): Context {
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    isRemote: true,
    ...(state !== undefined && { traceState: createTraceState(state) }),
  });
}

function contextOf(span: Span): TraceContext {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return { traceId, spanId, sampled: (traceFlags & TraceFlags.SAMPLED) !== 0 };
}

function defined(attributes: SpanAttributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}

function failed(span: Span, fault: string): void {
  span.setAttribute('error.type', fault);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

/** A code or the kind of the error; never its message, which may quote what it stumbled over. */
function faultOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  const word = [code, name].find((one): one is string => typeof one === 'string' && /^\w{1,64}$/.test(one));
  return word ?? 'error';
}
