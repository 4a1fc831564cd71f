/**
 * What is known about header names, in one place: validation and the request path must agree.
 * All names are lower case; compare after `normalise`.
 */

/** Lower case, `_` read as `-`: WSGI-like backends take both spellings for one header. */
export function normalise(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

/** Client headers that always reach the backend (contract §6). */
const CARRIED: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'content-type',
  'content-length',
  'content-encoding',
  'user-agent',
  'mcp-session-id',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
  'last-event-id',
  'origin',
  'traceparent',
  'tracestate',
  'baggage',
  'x-request-id',
  'x-forwarded-for',
  'x-forwarded-proto',
]);

/** True for a normalised name that every route carries. */
export function isCarried(name: string): boolean {
  return CARRIED.has(name) || name.startsWith('mcp-param-');
}

/** Names that belong to the connection, to Envoy or to message framing: no policy may write or pass them. */
const FRAMING: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'content-length',
  'forwarded',
  'via',
  'x-real-ip',
  'proxy',
  'expect',
]);
const FRAMING_PREFIXES = ['x-forwarded-', 'x-envoy-', 'proxy-', 'mcp-'];

/** True for a normalised name that no route may write from its configuration. */
export function isFraming(name: string): boolean {
  return FRAMING.has(name) || FRAMING_PREFIXES.some((prefix) => name.startsWith(prefix));
}

const CREDENTIAL: ReadonlySet<string> = new Set(['authorization', 'cookie', 'set-cookie', 'dpop']);

/** True for a normalised name that may not be passed through from the client (contract §6). */
export function isRestrictedForPassthrough(name: string): boolean {
  return (
    isFraming(name) ||
    CREDENTIAL.has(name) ||
    isCarried(name) ||
    name.startsWith('x-amz-') ||
    name.startsWith('x-user-')
  );
}
