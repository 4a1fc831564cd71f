import { JsonScanner } from './json-scan.ts';
import { foldKey } from './member-keys.ts';
import type { McpMessage } from './message.ts';

/** MCP 2026-07-28, `_meta`: keys without a prefix that the specification uses itself. */
const RESERVED_NAMES: readonly string[] = ['progresstoken', 'traceparent', 'tracestate', 'baggage'];
const RESERVED_LABELS: readonly string[] = ['mcp', 'modelcontextprotocol'];

const LABEL = /^[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/;
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/;

/**
 * Why `key` may not be the `metaKey` of a route, or undefined when it may: the grammar of MCP 2026-07-28, "General
 * fields, `_meta`", and its reserved keys in any case. The grammar allows a prefix with an empty name; we do not.
 */
export function metaKeyFault(key: string): string | undefined {
  const slash = key.indexOf('/');
  if (!NAME.test(key.slice(slash + 1)))
    return 'must end in a name of letters, digits, dashes, underscores and dots, with a letter or digit at both ends';
  if (slash < 0) return RESERVED_NAMES.includes(key.toLowerCase()) ? 'is a key that MCP uses itself' : undefined;
  const labels = key.slice(0, slash).split('.');
  if (!labels.every((label) => LABEL.test(label)))
    return 'must have a prefix of dot-separated labels that begin with a letter and end with a letter or digit';
  if (RESERVED_LABELS.includes(labels[1]?.toLowerCase() ?? ''))
    return 'has a prefix whose second label is reserved for MCP';
  return undefined;
}

/**
 * The body with `params._meta[metaKey]` set to `value` (encoded JSON), or without that member when `value` is null.
 * `params` and `_meta` are created where absent and stay, perhaps empty, on removal. Every byte outside the edit is
 * kept. What the client put under `metaKey`, in whatever spelling a backend folds to it, is what gets replaced:
 * the scan has refused such a member beside another of its kind, so there is one at most.
 *
 * @param body the bytes `message` was scanned from
 * @param metaKey one without a `metaKeyFault`
 */
export function setMeta(body: Buffer, message: McpMessage, metaKey: string, value: Buffer | null): Buffer {
  const { params, meta, message: whole } = message.spans;
  const taken = meta && memberSpan(body, meta.start, metaKey);
  if (value === null) return taken ? splice(body, taken.cutStart, taken.cutEnd, []) : body;

  const member = [Buffer.from(`${JSON.stringify(metaKey)}:`), value];
  if (taken) return splice(body, taken.start, taken.end, member);
  if (meta) return append(body, meta.end - 1, member);
  const metaMember = [Buffer.from('"_meta":{'), ...member, Buffer.from('}')];
  if (params) return append(body, params.end - 1, metaMember);
  return append(body, whole.end - 1, [Buffer.from('"params":{'), ...metaMember, Buffer.from('}')]);
}

interface MemberSpan {
  /** From the key's quote to behind the value. */
  readonly start: number;
  readonly end: number;
  /** What leaves well-formed JSON when it is cut out: the member and one comma beside it. */
  readonly cutStart: number;
  readonly cutEnd: number;
}

/** The member whose name folds to that of `key`, in the object that opens at `at`. */
function memberSpan(body: Buffer, at: number, key: string): MemberSpan | undefined {
  // The scan has bounded the depth already.
  const json = new JsonScanner(body, Number.POSITIVE_INFINITY);
  const folded = foldKey(key);
  let found: { start: number; end: number } | undefined;
  let previousEnd = -1;
  let nextStart = -1;
  json.members(at, 0, (keyStart, keyEnd, valueStart) => {
    const end = json.skipValue(valueStart, 0);
    if (found === undefined && foldKey(json.text(keyStart, keyEnd) ?? '') === folded) found = { start: keyStart, end };
    else if (found === undefined) previousEnd = end;
    else if (nextStart < 0) nextStart = keyStart;
    return end;
  });
  if (found === undefined) return undefined;
  if (nextStart >= 0) return { ...found, cutStart: found.start, cutEnd: nextStart };
  return { ...found, cutStart: previousEnd >= 0 ? previousEnd : found.start, cutEnd: found.end };
}

/** Adds a member at the end of the object that closes at `close`, behind the last byte that is no white space. */
function append(body: Buffer, close: number, member: readonly Buffer[]): Buffer {
  let at = close;
  while (isSpace(body[at - 1])) at--;
  // An opening bracket right before the closing one can only be the object's own.
  const comma = body[at - 1] === 0x7b ? [] : [Buffer.from(',')];
  return splice(body, at, at, [...comma, ...member]);
}

function splice(body: Buffer, start: number, end: number, insert: readonly Buffer[]): Buffer {
  return Buffer.concat([body.subarray(0, start), ...insert, body.subarray(end)]);
}

function isSpace(c: number | undefined): boolean {
  return c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;
}
