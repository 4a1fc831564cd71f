import type { JsonFault, Span } from './json-scan.ts';
import type { KeyFault } from './member-keys.ts';

export const PROTOCOL_VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';
export const CLIENT_CAPABILITIES_KEY = 'io.modelcontextprotocol/clientCapabilities';

/**
 * The member of `params` that says what a method is about: required in the body, and mirrored by `Mcp-Name`
 * (MCP 2026-07-28, Streamable HTTP, Standard Request Headers).
 */
export const TARGET_PARAM: ReadonlyMap<string, 'name' | 'uri'> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
]);

/** One JSON-RPC message as every backend reads it; what could be read in two ways never becomes one. */
export interface McpMessage {
  readonly shape: 'request' | 'notification' | 'response';
  /** Decoded. A number beyond 2^53 has lost digits here: answer with `idJson`. Always there on a request. */
  readonly id: string | number | null | undefined;
  /** The id as it stands in the body, to be echoed. */
  readonly idJson: string | undefined;
  /** Never empty on requests and notifications, undefined on responses. */
  readonly method: string | undefined;
  /** `params.name`; always there for `tools/call` and `prompts/get`. */
  readonly name: string | undefined;
  /** `params.uri`; always there for `resources/read`. */
  readonly uri: string | undefined;
  /** `params.taskId`, which `Mcp-Name` mirrors for `tasks/*`. */
  readonly taskId: string | undefined;
  /** `params._meta["io.modelcontextprotocol/protocolVersion"]`: the revision this message claims. */
  readonly protocolVersion: string | undefined;
  /** The client declared URL-mode elicitation: in the capabilities of its `_meta`, or of its `initialize`. */
  readonly clientElicitationUrl: boolean;
  /** Where things stand in the body, brackets included. */
  readonly spans: {
    readonly message: Span;
    readonly params: Span | undefined;
    readonly meta: Span | undefined;
    /** `params.inputResponses`: what a client answers to `input_required`. */
    readonly inputResponses: Span | undefined;
  };
}

export type MalformedReason = 'not_utf8' | JsonFault | 'batch' | 'not_object' | KeyFault['reason'] | 'not_jsonrpc';

/** `detail` names members and offsets, never what the client wrote. */
export interface Malformed {
  readonly kind: 'malformed';
  readonly reason: MalformedReason;
  readonly detail: string;
}

export type MessageScan = { readonly kind: 'message'; readonly message: McpMessage } | Malformed;
