import type { Counter, Tools } from '../core/ports.ts';
import { urlFault } from '../core/scalars.ts';
import { EgressError, type EgressFault } from './egress-error.ts';
import { Gate } from './gate.ts';

/** What a call may hold; the shape oauth4webapi hands to its `customFetch`. */
export interface EgressRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | URLSearchParams | Uint8Array<ArrayBuffer> | null | undefined;
  /** Redirects are never followed, whatever stands here. */
  readonly redirect?: 'manual';
  readonly signal?: AbortSignal | undefined;
}

/**
 * One outgoing HTTP call; the body of the answer is in memory when it resolves.
 * @throws EgressError and nothing else; an abort of `signal` is a `timeout`
 */
export type EgressFetch = (url: string, request: EgressRequest) => Promise<Response>;

/** The only outgoing HTTP of the product. */
export interface Egress {
  /** Calls that belong to no purpose of their own, counted as `other`. */
  readonly fetch: EgressFetch;
  /** Calls counted under `purpose`: a fixed word such as `jwks`, never a value from outside. */
  for(purpose: string, limits?: EgressLimits): EgressFetch;
}

export interface EgressLimits {
  /** Milliseconds for a whole call: waiting for a turn, connecting, the last byte of the answer. Default 5,000. */
  readonly timeoutMs?: number;
  /** Lets `http` reach other hosts too: only for what holds no secret. */
  readonly plainHttp?: boolean;
  /** Bytes of an answer after decompression. Default 1 MiB. */
  readonly maxResponseBytes?: number;
}

export interface EgressOptions extends Pick<Tools, 'log' | 'metrics'>, EgressLimits {
  /** Calls to one origin that run at the same time. Default 32. */
  readonly maxConcurrent?: number;
  /** Calls to one origin that may wait for their turn. Default 256. */
  readonly maxWaiting?: number;
}

type CallOutcome = 'ok' | 'client_error' | 'server_error' | EgressFault;

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export function createEgress(options: EgressOptions): Egress {
  const { log, metrics, maxConcurrent = 32, maxWaiting = 256 } = options;
  const gate = new Gate(maxConcurrent, maxWaiting);
  metrics.gauge('mcp_identity_egress_running', 'Outgoing calls that run', () => gate.running);
  metrics.gauge('mcp_identity_egress_waiting', 'Outgoing calls that wait for their turn', () => gate.waiting);

  const call = async (
    text: string,
    { method, headers, body, signal }: EgressRequest,
    purpose: string,
    {
      timeoutMs = options.timeoutMs ?? 5_000,
      maxResponseBytes = options.maxResponseBytes ?? 1024 ** 2,
      plainHttp = false,
    }: EgressLimits,
  ): Promise<Response> => {
    const fault = urlFault(text, plainHttp);
    if (fault) throw new EgressError('refused_url', `an endpoint ${fault}`);
    const url = new URL(text);
    const place = `${method} ${url.origin}${url.pathname}`;
    // A flood of one kind of call leaves the other kinds their turns.
    const lane = `${url.origin} (${purpose})`;
    const ended = new AbortController();
    const stop = () => ended.abort();
    const timer = setTimeout(stop, timeoutMs);
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    let entered = false;
    try {
      await gate.enter(lane, ended.signal);
      entered = true;
      // A redirect could carry a credential to a host that nobody configured, or reach one that we must not reach.
      const answer = await fetch(url, {
        method,
        headers,
        body: body ?? null,
        redirect: 'manual',
        signal: ended.signal,
      });
      if (answer.status >= 300 && answer.status < 400)
        throw new EgressError('redirect', `${place} answered with a redirect (${answer.status})`);
      return await inMemory(answer, maxResponseBytes, place);
    } catch (error) {
      const told = signal?.aborted
        ? `${place} was given up by its caller`
        : `${place} took longer than ${timeoutMs} ms`;
      const known =
        error instanceof EgressError
          ? error
          : ended.signal.aborted
            ? new EgressError('timeout', told)
            : networkError(error, place);
      ended.abort(); // closes the connection of an answer that nobody reads to its end
      throw known;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      if (entered) gate.leave(lane);
    }
  };

  const forPurpose = (purpose: string, limits: EgressLimits = {}): EgressFetch => {
    const counters = new Map<CallOutcome, Counter>();
    const count = (outcome: CallOutcome) => {
      let counter = counters.get(outcome);
      if (!counter) {
        counter = metrics.counter('mcp_identity_egress_requests_total', 'Outgoing HTTP calls', { purpose, outcome });
        counters.set(outcome, counter);
      }
      counter.inc();
    };
    const seconds = metrics.histogram('mcp_identity_egress_seconds', 'Duration of outgoing HTTP calls', SECONDS, {
      purpose,
    });
    return async (url, request) => {
      const startMs = performance.now();
      try {
        const answer = await call(url, request, purpose, limits);
        count(answer.status >= 500 ? 'server_error' : answer.status >= 400 ? 'client_error' : 'ok');
        return answer;
      } catch (error) {
        const { code, message } = error as EgressError;
        count(code);
        log.debug('an outgoing call brought no answer', { purpose, code, error: message });
        throw error;
      } finally {
        seconds.observe((performance.now() - startMs) / 1_000);
      }
    };
  };

  return { fetch: forPurpose('other'), for: forPurpose };
}

/** The same answer with its body read, so that time and byte limits cover all of it. */
async function inMemory(answer: Response, limitBytes: number, place: string): Promise<Response> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > limitBytes) throw new EgressError('too_large', `${place} answered with more than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  const headers = new Headers(answer.headers);
  headers.delete('content-encoding'); // fetch has undone it
  headers.delete('content-length');
  // Fetch standard: an answer with status 204 or 205 must be built without a body.
  const bodiless = answer.status === 204 || answer.status === 205;
  return new Response(bodiless ? null : Buffer.concat(chunks), {
    status: answer.status,
    statusText: answer.statusText,
    headers,
  });
}

/** Keeps only the code (`ECONNREFUSED`, `CERT_HAS_EXPIRED`, …) of what fetch says. */
function networkError(error: unknown, place: string): EgressError {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  const word = [cause?.code, code].find(
    (one): one is string => typeof one === 'string' && /^[A-Z][A-Z0-9_]*$/.test(one),
  );
  return new EgressError('network', `${place} failed${word === undefined ? '' : ` (${word})`}`);
}
