import { HeaderFields, type RequestFacts } from '../core/request-facts.ts';
import { type CallMetadata, traceOf } from '../core/trace-context.ts';
import type { CheckMessage } from './codec/check-request.ts';

/**
 * One CheckRequest as the pipeline wants it.
 * @returns undefined when Envoy sent the headers joined and cleaned (no `encode_raw_headers`): copies could not be
 * told apart, so nothing may be decided on them
 */
export function factsOf(message: CheckMessage, metadata?: CallMetadata): RequestFacts | undefined {
  if (!message.headersRaw) return undefined;
  const headers = new HeaderFields(message.headers);
  return {
    requestId: headers.get('x-request-id') ?? message.requestId,
    method: message.method,
    path: message.path,
    host: message.host,
    scheme: message.scheme,
    headers,
    body: message.rawBody,
    bodyAsText: message.textBody,
    peer: { address: message.peerAddress, principal: message.peerPrincipal },
    trace: traceOf(headers, metadata),
    routeMetadata: message.routeMetadata,
  };
}
