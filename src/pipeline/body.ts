import { type Reason, type Refusal, refuse } from '../core/refusal.ts';
import type { HeaderFields, RequestFacts } from '../core/request-facts.ts';
import { compareHeaders } from '../mcp/headers.ts';
import type { MalformedReason, McpMessage } from '../mcp/message.ts';
import { scanMessage } from '../mcp/scan-message.ts';

export type BodyReading =
  | { readonly kind: 'none' }
  | { readonly kind: 'message'; readonly message: McpMessage }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

const MALFORMED: Record<MalformedReason, Reason> = {
  not_utf8: 'body_not_utf8',
  not_json: 'body_not_json',
  too_deep: 'body_ambiguous',
  batch: 'body_batch',
  not_object: 'body_not_jsonrpc',
  ambiguous: 'body_ambiguous',
  duplicate_key: 'body_ambiguous',
  wrong_case_key: 'body_ambiguous',
  too_many_keys: 'body_ambiguous',
  not_jsonrpc: 'body_not_jsonrpc',
};

const NONE: BodyReading = { kind: 'none' };
const BODILESS = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);
/** Nothing beside the type but one `charset=utf-8`: parsers disagree about all else, and one that reads UTF-7 sees another body. */
const JSON_TYPE = /^application\/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?$/i;

/**
 * Reads the body that `Check` got and must decide on (contract §5).
 * @param metaKey the `_meta` key that is ours on this route
 */
export function readDecidedBody(facts: RequestFacts, maxBody: number, metaKey?: string): BodyReading {
  const { headers, body } = facts;
  if (facts.bodyAsText)
    return refused('body_not_buffered', 'Envoy sent the body as text; set pack_as_bytes at filter level');
  const framing = refuseFraming(facts, maxBody);
  if (framing) return { kind: 'refused', refusal: framing };
  if (!body || body.length === 0) {
    if (announcedLength(headers) > 0)
      return refused('body_not_buffered', 'the request has a body, but Envoy did not send it along');
    return BODILESS.has(facts.method) ? NONE : refused('body_missing');
  }
  return readMessageBody(body, headers, maxBody, metaKey);
}

/** What the headers alone say against a body that must be read; no body is no fault here. */
export function refuseFraming(facts: RequestFacts, maxBody: number): Refusal | undefined {
  const { headers } = facts;
  if (announcedLength(headers) > maxBody) return refuse('body_too_large');
  const hasBody = announcedLength(headers) > 0 || (facts.body?.length ?? 0) > 0 || headers.has('transfer-encoding');
  return hasBody ? refuseType(headers) : undefined;
}

/** One UTF-8 JSON-RPC message that every backend reads as we do, and MCP headers that say the same, whatever the version header claims. */
export function readMessageBody(body: Buffer, headers: HeaderFields, maxBody: number, metaKey?: string): BodyReading {
  if (body.length > maxBody) return refused('body_too_large');
  const wrongType = refuseType(headers);
  if (wrongType) return { kind: 'refused', refusal: wrongType };
  const scan = scanMessage(body, metaKey === undefined ? {} : { metaKey });
  if (scan.kind === 'malformed') return refused(MALFORMED[scan.reason], scan.detail);
  const comparison = compareHeaders((name) => headers.all(name), scan.message);
  if (comparison.kind === 'mismatch') return refused('header_mismatch', comparison.detail);
  return { kind: 'message', message: scan.message };
}

function refuseType(headers: HeaderFields): Refusal | undefined {
  if (headers.has('content-encoding')) return refuse('body_encoded');
  const types = headers.all('content-type');
  const [type = ''] = types;
  const isJson = types.length === 1 && JSON_TYPE.test(type);
  return isJson ? undefined : refuse('body_type');
}

function announcedLength(headers: HeaderFields): number {
  return Number(headers.get('content-length') ?? '0');
}

/** How much of an undecided or unauthenticated body is read, in bytes: enough for the id and the audit, no work for floods. */
export const GLANCE_LIMIT = 64 * 1024;

/** The message in a body that nothing depends on, for the id of an answer and for the audit. */
export function glanceAtBody(facts: RequestFacts): McpMessage | undefined {
  const { body } = facts;
  if (!body || body.length === 0 || body.length > GLANCE_LIMIT || facts.headers.has('content-encoding'))
    return undefined;
  const scan = scanMessage(body);
  return scan.kind === 'message' ? scan.message : undefined;
}

function refused(reason: Refusal['reason'], detail?: string): BodyReading {
  return { kind: 'refused', refusal: refuse(reason, detail === undefined ? {} : { detail }) };
}
