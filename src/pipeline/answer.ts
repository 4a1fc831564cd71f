import type { Deny } from '../core/decision.ts';
import { type Reason, type Refusal, WIRE, type Wire } from '../core/refusal.ts';

/** What an answer needs to know of the request and its route. */
export interface AnswerContext {
  /** The WWW-Authenticate values for this refusal, when its kind wants one. */
  readonly challenges: readonly string[];
  /** JSON text of the JSON-RPC id, where the request's body is known to be a request. */
  readonly rpcId: string | undefined;
  /** Where the user connects the missing account. */
  readonly url?: string;
}

const JSON_TYPE: readonly [string, string] = ['content-type', 'application/json'];
const NO_STORE: readonly [string, string] = ['cache-control', 'no-store'];

/** A refusal as the client gets it (contract §5): outsiders hear the fixed message of the reason, nothing else. */
export function answer(refusal: Refusal, context: AnswerContext): Deny {
  const wire = WIRE[refusal.reason];
  const headers: (readonly [string, string])[] = [JSON_TYPE, NO_STORE];
  for (const challenge of context.challenges) headers.push(['www-authenticate', challenge]);
  if (refusal.dpopNonce !== undefined) headers.push(['dpop-nonce', refusal.dpopNonce]);
  if (wire.status === 503 || wire.status === 429)
    headers.push(['retry-after', String(Math.max(1, Math.ceil(refusal.retryAfterSeconds ?? 1)))]);
  const error = errorWord(refusal.reason, wire);
  const data = context.url === undefined ? {} : { url: context.url };
  const body =
    context.rpcId === undefined && wire.rpcCode !== HEADER_MISMATCH
      ? JSON.stringify({ error, error_description: wire.message, ...data })
      : `{"jsonrpc":"2.0","id":${context.rpcId ?? 'null'},"error":{"code":${wire.rpcCode},"message":${JSON.stringify(wire.message)},"data":${JSON.stringify({ error, ...data })}}}`;
  return { kind: 'deny', status: wire.status, headers, body };
}

/** A JSON-RPC answer in place of the backend's. */
export function rpcAnswer(body: string): Deny {
  return { kind: 'deny', status: 200, headers: [JSON_TYPE, NO_STORE], body };
}

/** The stable word for programs: the OAuth error where there is one, and nothing about our insides for failures. */
function errorWord(reason: Reason, wire: Wire): string {
  if (wire.status === 503) return 'temporarily_unavailable';
  if (wire.status >= 500) return 'server_error';
  return wire.challenge === 'none' || wire.challenge === 'bare' ? reason : wire.challenge;
}

const HEADER_MISMATCH = WIRE.header_mismatch.rpcCode;
