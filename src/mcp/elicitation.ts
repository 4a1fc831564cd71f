import { randomUUID } from 'node:crypto';
import { isStateless } from './headers.ts';
import type { McpMessage } from './message.ts';

export interface MissingAccount {
  readonly provider: string;
  readonly onMissing: 'auto' | 'elicit' | 'tool_error' | 'deny';
  readonly unconnected: 'forward' | 'deny';
  /** The page where the user connects the account. */
  readonly link: string;
  /** HTTP method. */
  readonly method: string;
  /** `MCP-Protocol-Version` of the request. */
  readonly version: string | undefined;
  /** Undefined where the request has no body, or none that could be read. */
  readonly message: McpMessage | undefined;
  /** The bytes `message` was read from. */
  readonly body: Buffer | undefined;
  /** The bound session remembers that its client does URL-mode elicitation. */
  readonly sessionElicitsUrl: boolean;
}

/** An answer in the form that fits the client; `forbidden` leaves the wording to the caller. */
export type MissingAnswer = { readonly kind: 'result'; readonly body: string } | { readonly kind: 'forbidden' };

/** MCP 2026-07-28: the methods whose result may be `input_required`. */
const MAY_ASK: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read']);
/** The one older revision with URL-mode elicitation and error -32042. */
const URL_ELICITATION_REVISION = '2025-11-25';
const URL_ELICITATION_REQUIRED = -32042;

/** Requests that only open or list: they may go on without a credential, so that a client gets to its first tool call. */
export function onlyOpensOrLists(method: string, message: McpMessage | undefined): boolean {
  if (method !== 'POST') return method === 'GET' || method === 'DELETE';
  const name = message?.method;
  if (name === undefined) return message?.shape === 'response';
  return (
    name === 'initialize' ||
    name === 'ping' ||
    name === 'server/discover' ||
    name.startsWith('notifications/') ||
    name.endsWith('/list')
  );
}

/** How to tell the client that the user has no account at the provider yet (contract §5). */
export function missingAnswer(missing: MissingAccount): MissingAnswer {
  const { message, onMissing } = missing;
  if (onMissing === 'deny' || message?.shape !== 'request') return { kind: 'forbidden' };
  const stateless = isStateless(missing.version ?? message.protocolVersion ?? '');
  if (onMissing !== 'tool_error') {
    if (stateless && MAY_ASK.has(message.method ?? '') && (onMissing === 'elicit' || message.clientElicitationUrl)) {
      return declined(missing) ? { kind: 'forbidden' } : inputRequired(missing, message);
    }
    const elicits = missing.version === URL_ELICITATION_REVISION && missing.sessionElicitsUrl;
    if (!stateless && (elicits || (onMissing === 'elicit' && missing.version === URL_ELICITATION_REVISION)))
      return elicitationRequired(missing, message);
  }
  if (onMissing !== 'elicit' && message.method === 'tools/call') return toolError(missing, message, stateless);
  return { kind: 'forbidden' };
}

/** What people read; also the text for clients that show only text. */
function connectMessage({ provider, link }: Pick<MissingAccount, 'provider' | 'link'>): string {
  return `Connect your ${provider} account first, then try again: ${link}`;
}

/** MCP 2026-07-28, multi round-trip requests; the ticket inside the link is all the state there is. */
function inputRequired(missing: MissingAccount, message: McpMessage): MissingAnswer {
  const request = {
    method: 'elicitation/create',
    params: { mode: 'url', message: `Connect your ${missing.provider} account`, url: missing.link },
  };
  return result(message, { resultType: 'input_required', inputRequests: { [requestKey(missing.provider)]: request } });
}

/** MCP 2025-11-25, URL elicitation required. */
function elicitationRequired(missing: MissingAccount, message: McpMessage): MissingAnswer {
  const elicitation = {
    mode: 'url',
    elicitationId: randomUUID(),
    url: missing.link,
    message: `Connect your ${missing.provider} account`,
  };
  const error = {
    code: URL_ELICITATION_REQUIRED,
    message: `Connect your ${missing.provider} account first`,
    data: { elicitations: [elicitation] },
  };
  return { kind: 'result', body: `{"jsonrpc":"2.0","id":${message.idJson},"error":${JSON.stringify(error)}}` };
}

function toolError(missing: MissingAccount, message: McpMessage, stateless: boolean): MissingAnswer {
  const content = [{ type: 'text', text: connectMessage(missing) }];
  return result(message, { ...(stateless ? { resultType: 'complete' } : {}), content, isError: true });
}

function result(message: McpMessage, value: unknown): MissingAnswer {
  return { kind: 'result', body: `{"jsonrpc":"2.0","id":${message.idJson},"result":${JSON.stringify(value)}}` };
}

function requestKey(provider: string): string {
  return `connect-${provider}`;
}

/** A retry in which the user has said no: asking again would nag. */
function declined({ message, body, provider }: MissingAccount): boolean {
  const span = message?.spans.inputResponses;
  if (!span || !body) return false;
  const responses = JSON.parse(body.toString('utf8', span.start, span.end)) as Record<
    string,
    { action?: unknown } | null
  > | null;
  const response =
    responses !== null && typeof responses === 'object' && Object.hasOwn(responses, requestKey(provider))
      ? responses[requestKey(provider)]
      : undefined;
  return response?.action === 'decline' || response?.action === 'cancel';
}
