import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import { type MaybePromise, whenReady } from '../core/maybe-promise.ts';
import type { Tools } from '../core/ports.ts';
import { HeaderFields } from '../core/request-facts.ts';
import type { Carrier, Step } from '../pipeline/carry-out.ts';
import { PLAN_FIELD } from '../pipeline/plan.ts';
import { decodeProcessingRequest, type ProcessingKind, type ProcessingMessage } from './codec/processing-request.ts';
import { continueBody, continueHeaders, continueTrailers, immediate } from './codec/processing-response.ts';
import { decodeStruct } from './codec/struct.ts';
import { plainPairs } from './edits.ts';

/** Namespace under which Envoy forwards what ext_authz said. */
const EXT_AUTHZ_NAMESPACE = 'envoy.filters.http.ext_authz';

/** How long a body that we asked for may take to arrive, in milliseconds: a slow client must not hold a stream for ever. */
const BODY_LIMIT_MS = 60_000;

/** Which phase may follow which; every phase stands there once at most. */
const ORDER: readonly ProcessingKind[] = [
  'request_headers',
  'request_body',
  'request_trailers',
  'response_headers',
  'response_body',
  'response_trailers',
];

export type Process = (call: ServerDuplexStream<Buffer, Buffer>) => void;

/**
 * `envoy.service.ext_proc.v3.ExternalProcessor/Process` over raw bytes: one carrier per stream. A stream may begin
 * with the response, when Envoy answers by itself (covered by test/e2e/ext-proc.test.ts); a message out of order or one
 * that cannot be read ends the stream, and Envoy ends the request.
 */
export function createProcess(newCarrier: () => Carrier, { log, metrics }: Tools): Process {
  let open = 0;
  metrics.gauge('mcp_identity_ext_proc_streams', 'ext_proc streams that are open', () => open);

  return (call) => {
    open++;
    const carrier = newCarrier();
    let phase = -1;
    let bodyTimer: NodeJS.Timeout | undefined;
    let closed = false;

    const close = (): void => {
      if (closed) return;
      closed = true;
      open--;
      clearTimeout(bodyTimer);
    };
    const fail = (code: status, details: string): void => {
      if (closed) return;
      log.warn('an ext_proc stream was ended', { details });
      close();
      call.emit('error', { code, details });
    };

    const broken = (error: unknown): void => {
      log.error('an ext_proc message could not be handled', {
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
      fail(status.INTERNAL, 'internal error');
    };
    const reply = (kind: ProcessingKind, step: Step): void => {
      if (closed) return;
      if (step.kind === 'continue' && step.wantsBody)
        bodyTimer = setTimeout(
          () => fail(status.DEADLINE_EXCEEDED, 'the request body did not arrive'),
          BODY_LIMIT_MS,
        ).unref();
      call.write(encodeStep(kind, step));
    };

    call.on('data', (bytes: Buffer) => {
      if (closed) return;
      try {
        const message = decodeProcessingRequest(bytes, EXT_AUTHZ_NAMESPACE);
        const next = message.kind === 'unknown' ? -1 : ORDER.indexOf(message.kind);
        if (next <= phase) return fail(status.INVALID_ARGUMENT, 'unexpected message');
        phase = next;
        clearTimeout(bodyTimer);
        const replied = whenReady(stepOf(carrier, message), (step) => reply(message.kind as ProcessingKind, step));
        if (replied instanceof Promise) replied.catch(broken);
      } catch (error) {
        broken(error);
      }
    });
    call.on('end', () => {
      close();
      call.end();
    });
    call.on('cancelled', close);
    call.on('close', close);
    call.on('error', close);
  };
}

function stepOf(carrier: Carrier, message: ProcessingMessage): MaybePromise<Step> {
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
      return carrier.responseHeaders(new HeaderFields(message.headers));
    default:
      return { kind: 'continue' };
  }
}

function sealedPlan(metadata: Buffer | undefined): string | undefined {
  if (!metadata) return undefined;
  const plan = (decodeStruct(metadata) as Record<string, unknown>)[PLAN_FIELD];
  return typeof plan === 'string' ? plan : undefined;
}

function encodeStep(kind: ProcessingKind, step: Step): Buffer {
  if (step.kind === 'answer') return immediate(step.deny);
  const changes = step.edits ? { set: plainPairs(step.edits), remove: [...step.edits.removed()] } : {};
  switch (kind) {
    case 'request_headers':
    case 'response_headers':
      return continueHeaders(
        kind,
        step.wantsBody ? { ...changes, modeOverride: { responseHeaders: 'send', requestBody: 'buffered' } } : changes,
      );
    case 'request_body':
    case 'response_body':
      return continueBody(kind, step.body ? { ...changes, body: step.body } : changes);
    default:
      return continueTrailers(kind);
  }
}
