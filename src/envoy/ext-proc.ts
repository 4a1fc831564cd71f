import { type MaybePromise, whenReady } from '../core/maybe-promise.ts';
import type { Tools } from '../core/ports.ts';
import { HeaderFields } from '../core/request-facts.ts';
import type { CallMetadata } from '../core/trace-context.ts';
import type { Step } from '../pipeline/carry-out.ts';
import { PLAN_FIELD } from '../pipeline/plan.ts';
import type { Phases } from '../pipeline/trace-carrier.ts';
import { decodeProcessingRequest, type ProcessingKind, type ProcessingMessage } from './codec/processing-request.ts';
import {
  continueBody,
  continueHeaders,
  continueTrailers,
  immediate,
  type ModeOverride,
} from './codec/processing-response.ts';
import { decodeStruct } from './codec/struct.ts';
import { plainPairs } from './edits.ts';
import { RPC_STATUS, type RpcStatus, type StreamHandler } from './rpc.ts';

/** Namespace under which Envoy forwards what ext_authz said. */
const EXT_AUTHZ_NAMESPACE = 'envoy.filters.http.ext_authz';

/** How long a body that we asked for may take to arrive, in milliseconds: a slow client must not hold a stream for ever. */
const BODY_LIMIT_MS = 60_000;

/** How long an answer that is held back may take to end, in milliseconds. */
const ANSWER_LIMIT_MS = 60_000;

/** Which phase may follow which; every phase stands there once at most. */
const ORDER: readonly ProcessingKind[] = [
  'request_headers',
  'request_body',
  'request_trailers',
  'response_headers',
  'response_body',
  'response_trailers',
];

/**
 * `envoy.service.ext_proc.v3.ExternalProcessor/Process` over raw bytes: one carrier per stream. A stream may begin
 * with the response, when Envoy answers by itself (covered by test/e2e/ext-proc.test.ts); a message out of order or one
 * that cannot be read ends the stream, and Envoy ends the request.
 */
export function createProcess(
  newCarrier: (metadata: CallMetadata) => Phases,
  { log, metrics }: Tools,
  answerLimitMs = ANSWER_LIMIT_MS,
): StreamHandler {
  let open = 0;
  metrics.gauge('mcp_identity_ext_proc_streams', 'ext_proc streams that are open', () => open);

  return (outlet, metadata) => {
    open++;
    const carrier = newCarrier(metadata);
    let phase = -1;
    let bodyTimer: NodeJS.Timeout | undefined;
    let closed = false;
    /** Envoy was told to answer by itself: what else it sends comes too late. */
    let answered = false;
    /** The answer comes in pieces, so that its phase stands there more than once. */
    let streaming = false;

    const close = (): void => {
      if (closed) return;
      closed = true;
      open--;
      clearTimeout(bodyTimer);
      carrier.end();
    };
    const fail = (code: RpcStatus, details: string): void => {
      if (closed) return;
      log.warn('an ext_proc stream was ended', { details });
      close();
      outlet.fail(code, details);
    };

    const broken = (error: unknown): void => {
      log.error('an ext_proc message could not be handled', {
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
      fail(RPC_STATUS.INTERNAL, 'internal error');
    };
    const guarded = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        broken(error);
      }
    };
    const reply = (kind: ProcessingKind, step: Step): void => {
      if (closed) return;
      answered = step.kind === 'answer';
      if (step.kind === 'continue' && step.wantsBody)
        bodyTimer = setTimeout(() => guarded(() => reply(kind, carrier.bodyLate())), BODY_LIMIT_MS).unref();
      if (step.kind === 'continue' && step.wantsAnswer === 'buffered')
        bodyTimer = setTimeout(() => guarded(() => reply(kind, carrier.late())), answerLimitMs).unref();
      if (step.kind === 'continue' && step.wantsAnswer === 'streamed') streaming = true;
      outlet.send(encodeStep(kind, step));
    };

    return {
      message(bytes) {
        if (closed || answered) return;
        guarded(() => {
          const message = decodeProcessingRequest(bytes, EXT_AUTHZ_NAMESPACE);
          const next = message.kind === 'unknown' ? -1 : ORDER.indexOf(message.kind);
          const goesOn = streaming && next === phase && message.kind === 'response_body';
          if (next <= phase && !goesOn) return fail(RPC_STATUS.INVALID_ARGUMENT, 'unexpected message');
          phase = next;
          clearTimeout(bodyTimer);
          const replied = whenReady(stepOf(carrier, message), (step) => reply(message.kind as ProcessingKind, step));
          if (replied instanceof Promise) replied.catch(broken);
        });
      },
      end() {
        close();
        outlet.end();
      },
      closed: close,
    };
  };
}

function stepOf(carrier: Phases, message: ProcessingMessage): MaybePromise<Step> {
  switch (message.kind) {
    case 'request_headers':
      return carrier.requestHeaders(
        new HeaderFields(message.headers),
        message.endOfStream,
        sealedPlan(message.dynamicMetadata),
      );
    case 'request_body':
      return carrier.requestBody(message.body);
    case 'response_headers':
      return carrier.responseHeaders(new HeaderFields(message.headers), message.endOfStream);
    case 'response_body':
      return carrier.responseBody(message.body, message.endOfStream);
    default:
      return { kind: 'continue' };
  }
}

function sealedPlan(metadata: Buffer | undefined): string | undefined {
  if (!metadata) return undefined;
  const plan = (decodeStruct(metadata) as Record<string, unknown>)[PLAN_FIELD];
  return typeof plan === 'string' ? plan : undefined;
}

function modeFor({ wantsBody, wantsAnswer }: Extract<Step, { kind: 'continue' }>): { modeOverride?: ModeOverride } {
  if (wantsBody) return { modeOverride: { responseHeaders: 'send', requestBody: 'buffered' } };
  // BUFFERED hangs or ends in a bare 500 above the buffer limit; BUFFERED_PARTIAL shows what there is (Envoy 1.40). Of
  // requests it is no use: beside such a body Envoy leaves out what is said of the headers.
  const responseBody = wantsAnswer === 'buffered' ? 'buffered_partial' : wantsAnswer;
  return responseBody ? { modeOverride: { responseHeaders: 'send', responseBody } } : {};
}

function encodeStep(kind: ProcessingKind, step: Step): Buffer {
  if (step.kind === 'answer') return immediate(step.deny);
  const changes = step.edits ? { set: plainPairs(step.edits), remove: [...step.edits.removed()] } : {};
  switch (kind) {
    case 'request_headers':
    case 'response_headers':
      return continueHeaders(kind, { ...changes, ...modeFor(step) });
    case 'request_body':
    case 'response_body':
      return continueBody(kind, step.body ? { ...changes, body: step.body } : changes);
    default:
      return continueTrailers(kind);
  }
}
