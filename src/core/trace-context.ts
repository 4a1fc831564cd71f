/** Where a request stands in a trace (W3C Trace Context). */
export interface TraceContext {
  /** 32 lower-case hex digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hex digits, not all zero. */
  readonly spanId: string;
  readonly sampled: boolean;
  /** What tracing systems hand on, as it came; undefined when there is none. */
  readonly state?: string | undefined;
}

/** Metadata of a gRPC call, as far as it is read here: every value of a name, in order. */
export interface CallMetadata {
  get(name: string): readonly (string | Buffer)[];
}

/** W3C Trace Context 3.2; later versions may say more after the flags. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const MAX_LENGTH = 256;
/** W3C Trace Context 3.3.1.5: what a participant must be able to hand on. */
const MAX_STATE_LENGTH = 512;

/** @returns undefined when the text is none by the standard: an outsider may send anything */
export function readTraceparent(text: string | undefined, state?: string): TraceContext | undefined {
  if (text === undefined || text.length > MAX_LENGTH) return undefined;
  const parts = TRACEPARENT.exec(text);
  if (!parts) return undefined;
  const [, version, traceId = '', spanId = '', flags = '', more] = parts;
  if (version === '00' && more !== undefined) return undefined;
  const sampled = (Number.parseInt(flags, 16) & 1) === 1;
  return { traceId, spanId, sampled, ...(state && state.length <= MAX_STATE_LENGTH && { state }) };
}

export function writeTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

/**
 * The trace of a request: that of Envoy, which stands in the metadata of its call when it traces; else the one that the
 * client's own header names (covered by test/e2e/traces.test.ts).
 * @param headers flat: name, value, name, value, …
 */
export function traceOf(
  { flat }: { readonly flat: readonly string[] },
  metadata: CallMetadata | undefined,
): TraceContext | undefined {
  const own = metadata && traceOfCall(metadata);
  if (own) return own;
  const traceparent = sole(flat, 'traceparent');
  return traceparent === undefined ? undefined : readTraceparent(traceparent, sole(flat, 'tracestate'));
}

/** What Envoy says of its own span: W3C, or B3 from its Zipkin tracer. */
export function traceOfCall(metadata: CallMetadata): TraceContext | undefined {
  const traceparent = first(metadata, 'traceparent');
  if (traceparent !== undefined) return readTraceparent(traceparent, first(metadata, 'tracestate'));
  const id = first(metadata, 'x-b3-traceid');
  if (id === undefined) return undefined;
  const flags = first(metadata, 'x-b3-sampled') === '0' ? '00' : '01';
  return readTraceparent(`00-${id.padStart(32, '0')}-${first(metadata, 'x-b3-spanid') ?? ''}-${flags}`);
}

function first(metadata: CallMetadata, name: string): string | undefined {
  const value = metadata.get(name)[0];
  return typeof value === 'string' ? value : undefined;
}

/** Several copies say nothing that could be relied on. */
function sole(flat: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] !== name) continue;
    if (found !== undefined) return undefined;
    found = flat[i + 1];
  }
  return found;
}
