import { isUtf8 } from 'node:buffer';
import { type McpMessage, TARGET_PARAM } from './message.ts';

/** `detail` names the header and the rule, never a value. */
export type HeaderComparison = { readonly kind: 'ok' } | { readonly kind: 'mismatch'; readonly detail: string };

/** The first revision without sessions, whose requests repeat in headers what their body says. */
const FIRST_STATELESS_REVISION = '2026-07-28';

/** SEP-2663: `Mcp-Name` of these mirrors `params.taskId`. */
const TASK_METHODS: readonly string[] = ['tasks/get', 'tasks/update', 'tasks/cancel'];

const BASE64_PREFIX = '=?base64?';
const BASE64_SUFFIX = '?=';

/**
 * Revisions are dates and compare as text. A version that is no date counts by the same comparison, as in the official
 * SDKs: `DRAFT-2026-v1` is later, and what counts as later is checked more.
 */
export function isStateless(version: string): boolean {
  return version >= FIRST_STATELESS_REVISION;
}

/**
 * Whether the MCP headers say what the body says: MCP 2026-07-28, Streamable HTTP, "Request Metadata" and "Server
 * Validation". A mismatch is answered with 400 and -32020.
 *
 * - Each header stands there once at most.
 * - `Mcp-Method` and `Mcp-Name` agree with the body wherever they are sent, whatever the revision.
 * - `MCP-Protocol-Version` equals the revision that the body claims.
 * - A request of 2026-07-28 or later, by its header or by its body, has `MCP-Protocol-Version` and `Mcp-Method`, and
 *   `Mcp-Name` for `tools/call`, `prompts/get` and `resources/read`. Notifications and responses need none of them.
 *
 * A header that names such a revision over a body without a claim is no mismatch: the body is malformed (-32602, MCP
 * 2026-07-28, Per-request protocol fields), which is for the backend to say.
 *
 * @param header all values of a header, by lower-case name, as latin-1 text
 */
export function compareHeaders(header: (name: string) => readonly string[], message: McpMessage): HeaderComparison {
  const [version, ...moreVersions] = header('mcp-protocol-version');
  const [method, ...moreMethods] = header('mcp-method');
  const [name, ...moreNames] = header('mcp-name');
  if (moreVersions.length > 0) return mismatch('MCP-Protocol-Version is repeated');
  if (moreMethods.length > 0) return mismatch('Mcp-Method is repeated');
  if (moreNames.length > 0) return mismatch('Mcp-Name is repeated');

  const claim = message.protocolVersion;
  if (claim !== undefined && version !== undefined && claim !== version)
    return mismatch('MCP-Protocol-Version is not the version in _meta');

  const stateless = (version !== undefined && isStateless(version)) || (claim !== undefined && isStateless(claim));
  if (stateless && message.shape === 'request') {
    if (version === undefined) return mismatch('MCP-Protocol-Version is missing');
    if (method === undefined) return mismatch('Mcp-Method is missing');
    if (name === undefined && TARGET_PARAM.has(message.method ?? '')) return mismatch('Mcp-Name is missing');
  }

  if (method !== undefined && !(isFieldText(method) && method === message.method))
    return mismatch('Mcp-Method is not the method of the body');
  if (name === undefined) return { kind: 'ok' };
  const text = decodeName(name);
  if (text === undefined) return mismatch('Mcp-Name has invalid characters or invalid base64');
  return namesTarget(text, message) ? { kind: 'ok' } : mismatch('Mcp-Name is not the name in the body');
}

function mismatch(detail: string): HeaderComparison {
  return { kind: 'mismatch', detail };
}

function namesTarget(text: string, message: McpMessage): boolean {
  const method = message.method ?? '';
  const target = TASK_METHODS.includes(method) ? 'taskId' : TARGET_PARAM.get(method);
  if (target !== undefined) return text === message[target];
  // No rule for other methods: some clients name the URI of resources/subscribe, some send the header empty.
  return text === '' || text === message.name || text === message.uri || text === message.taskId;
}

/** MCP 2026-07-28, Value Encoding. The markers are case-sensitive; anything else stands for itself. */
function decodeName(value: string): string | undefined {
  if (!value.startsWith(BASE64_PREFIX) || !value.endsWith(BASE64_SUFFIX)) return isFieldText(value) ? value : undefined;
  const encoded = value.slice(BASE64_PREFIX.length, -BASE64_SUFFIX.length);
  const bytes = Buffer.from(encoded, 'base64');
  // Node decodes leniently: only what encodes to the same text again was base64 (RFC 4648 3.5, canonical).
  if (bytes.toString('base64') !== encoded || !isUtf8(bytes)) return undefined;
  return bytes.toString('utf8');
}

/** RFC 9110 5.5: visible ASCII, spaces and tabs. Bytes beyond are UTF-8 to one reader and latin-1 to the next. */
function isFieldText(value: string): boolean {
  return /^[\t\x20-\x7e]*$/.test(value);
}
