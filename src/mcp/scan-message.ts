import { isUtf8 } from 'node:buffer';
import { JsonScanner, type MemberVisitor, type Span } from './json-scan.ts';
import { KnownKeys, MemberKeys } from './member-keys.ts';
import {
  CLIENT_CAPABILITIES_KEY,
  type Malformed,
  type MalformedReason,
  type McpMessage,
  type MessageScan,
  PROTOCOL_VERSION_KEY,
  TARGET_PARAM,
} from './message.ts';

export interface ScanOptions {
  /** The `_meta` key that is ours on this route: nothing may stand in its place under another spelling. */
  readonly metaKey?: string;
  /** Objects and arrays inside each other, the message included; default 128. Bounds the stack too: not beyond 1000. */
  readonly maxDepth?: number;
}

const MAX_ID_BYTES = 1024;
/** Of a method or a name, quotes and escapes included. */
const MAX_COMPARABLE_BYTES = 1024;

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;
const QUOTE = 0x22;

const MESSAGE_RULES = {
  where: 'the message',
  known: new KnownKeys(['jsonrpc', 'id', 'method', 'params', 'result', 'error']),
};
const PARAMS_RULES = {
  where: 'params',
  known: new KnownKeys(['name', 'arguments', '_meta', 'uri', 'taskId', 'inputResponses', 'capabilities']),
};
// Python's mcp-types 2.x (pydantic populate_by_name) and Rust's pmcp (a serde alias) take `meta` for `_meta`.
const EDITED_PARAMS_RULES = {
  ...PARAMS_RULES,
  forbidden: { name: 'meta', detail: 'has meta, which some servers read as _meta' },
};
const META_RULES = { where: '_meta', known: new KnownKeys([PROTOCOL_VERSION_KEY, CLIENT_CAPABILITIES_KEY]) };

/** Reads one body. Refuses whatever some backend might understand differently than we do. */
export function scanMessage(body: Buffer, options: ScanOptions = {}): MessageScan {
  if (!isUtf8(body)) return malformed('not_utf8', 'the body is not UTF-8');
  return new MessageReader(body, options).read();
}

function malformed(reason: MalformedReason, detail: string): Malformed {
  return { kind: 'malformed', reason, detail };
}

class MessageReader {
  readonly #json: JsonScanner;
  readonly #messageKeys: MemberKeys;
  readonly #paramsKeys: MemberKeys;
  readonly #metaKeys: MemberKeys;
  #ambiguous: string | undefined;

  #jsonrpc: string | undefined;
  #id: string | number | null | undefined;
  #idJson: string | undefined;
  #method: string | undefined;
  /** The value of `result` or `error` is an object. */
  #outcomeIsObject = false;
  #params: Span | undefined;
  #meta: Span | undefined;
  #inputResponses: Span | undefined;
  #name: string | undefined;
  #uri: string | undefined;
  #taskId: string | undefined;
  #protocolVersion: string | undefined;
  /** Where the capabilities of `_meta` and of an `initialize` begin. */
  #metaCapabilities = -1;
  #paramsCapabilities = -1;

  constructor(body: Buffer, { metaKey, maxDepth }: ScanOptions) {
    const json = new JsonScanner(body, maxDepth);
    this.#json = json;
    this.#messageKeys = new MemberKeys(json, MESSAGE_RULES);
    this.#paramsKeys = new MemberKeys(json, metaKey === undefined ? PARAMS_RULES : EDITED_PARAMS_RULES);
    this.#metaKeys = new MemberKeys(json, metaKey === undefined ? META_RULES : { ...META_RULES, exact: metaKey });
  }

  read(): MessageScan {
    const json = this.#json;
    const { bytes } = json;
    const start = json.skipSpace(0);
    const isObject = bytes[start] === OPEN_OBJECT;
    const end = isObject ? json.members(start, 0, this.#messageMember) : json.skipValue(start, 0);
    if (end < 0) return this.#whyStopped();
    const rest = json.skipSpace(end);
    if (rest < bytes.length) return malformed('not_json', `at byte ${rest}`);
    if (!isObject)
      return bytes[start] === OPEN_ARRAY ? malformed('batch', 'an array') : malformed('not_object', 'no object');
    const fault = this.#shapeFault();
    if (fault !== undefined) return malformed('not_jsonrpc', fault);
    return { kind: 'message', message: this.#message({ start, end }) };
  }

  #whyStopped(): Malformed {
    if (this.#ambiguous !== undefined) return malformed('ambiguous', this.#ambiguous);
    const fault = this.#messageKeys.fault ?? this.#paramsKeys.fault ?? this.#metaKeys.fault;
    if (fault !== undefined) return malformed(fault.reason, fault.detail);
    return malformed(this.#json.fault, `at byte ${this.#json.faultAt}`);
  }

  readonly #messageMember: MemberVisitor = (keyStart, keyEnd, at) => {
    const json = this.#json;
    const key = this.#messageKeys.claim(keyStart, keyEnd);
    if (key === undefined) return -1;
    if (key === 'params' && json.bytes[at] === OPEN_OBJECT) {
      const end = json.members(at, 1, this.#paramsMember);
      this.#params = { start: at, end };
      return end;
    }
    const end = json.skipValue(at, 1);
    if (end < 0) return -1;
    if (key === 'jsonrpc') this.#jsonrpc = this.#text(at, end);
    else if (key === 'method') this.#method = this.#comparableText(at, end);
    else if (key === 'id') this.#readId(at, end);
    else if (key === 'result' || key === 'error') this.#outcomeIsObject = json.bytes[at] === OPEN_OBJECT;
    return this.#ambiguous === undefined ? end : -1;
  };

  readonly #paramsMember: MemberVisitor = (keyStart, keyEnd, at) => {
    const json = this.#json;
    const key = this.#paramsKeys.claim(keyStart, keyEnd);
    if (key === undefined) return -1;
    if (key === '_meta' && json.bytes[at] === OPEN_OBJECT) {
      const end = json.members(at, 2, this.#metaMember);
      this.#meta = { start: at, end };
      return end;
    }
    const end = json.skipValue(at, 2);
    if (end < 0) return -1;
    if (key === 'name') this.#name = this.#comparableText(at, end);
    else if (key === 'uri') this.#uri = this.#text(at, end);
    else if (key === 'taskId') this.#taskId = this.#text(at, end);
    else if (key === 'inputResponses') this.#inputResponses = { start: at, end };
    else if (key === 'capabilities') this.#paramsCapabilities = at;
    return this.#ambiguous === undefined ? end : -1;
  };

  readonly #metaMember: MemberVisitor = (keyStart, keyEnd, at) => {
    const key = this.#metaKeys.claim(keyStart, keyEnd);
    if (key === undefined) return -1;
    const end = this.#json.skipValue(at, 3);
    if (end < 0) return -1;
    if (key === PROTOCOL_VERSION_KEY) this.#protocolVersion = this.#text(at, end);
    else if (key === CLIENT_CAPABILITIES_KEY) this.#metaCapabilities = at;
    return this.#ambiguous === undefined ? end : -1;
  };

  /** The string in `[start, end)`; undefined when the value is none. */
  #text(start: number, end: number): string | undefined {
    if (this.#json.bytes[start] !== QUOTE) return undefined;
    const text = this.#json.text(start, end);
    if (text === undefined) this.#ambiguous = `the string at byte ${start} is read differently by parsers`;
    return text;
  }

  /** Text a policy compares. Swift compares by canonical equivalence, so only the composed form (NFC) is one text. */
  #comparableText(start: number, end: number): string | undefined {
    // Normalising takes time that grows with the square of some texts.
    if (end - start > MAX_COMPARABLE_BYTES) {
      this.#ambiguous = `the string at byte ${start} is longer than ${MAX_COMPARABLE_BYTES} bytes`;
      return undefined;
    }
    const text = this.#text(start, end);
    // Plain ASCII is as long as its literal without the quotes, and composed.
    if (text === undefined || text.length === end - start - 2 || text === text.normalize('NFC')) return text;
    this.#ambiguous = `the string at byte ${start} is not in Unicode normalization form C`;
    return undefined;
  }

  /** JSON-RPC 2.0 4: a string, a number (MCP: an integer) or null. 1.0 and 1e2 are integers to some parsers only. */
  #readId(start: number, end: number): void {
    const { bytes } = this.#json;
    if (end - start > MAX_ID_BYTES) return;
    const json = bytes.toString('utf8', start, end);
    if (bytes[start] === QUOTE) this.#id = this.#text(start, end);
    else if (json === 'null') this.#id = null;
    else if (/^-?\d+$/.test(json)) this.#id = Number(json);
    this.#idJson = json;
  }

  /** What is wrong with the message as JSON-RPC 2.0 in the form MCP gives it, or undefined. */
  #shapeFault(): string | undefined {
    const keys = this.#messageKeys;
    if (this.#jsonrpc !== '2.0') return 'jsonrpc is not "2.0"';
    if (keys.has('id') && this.#id === undefined)
      return `id is neither a string nor an integer, or longer than ${MAX_ID_BYTES} bytes`;
    if (keys.has('params') && this.#params === undefined) return 'params is not an object';
    if (this.#paramsKeys.has('_meta') && this.#meta === undefined) return '_meta is not an object';
    if (this.#metaKeys.has(PROTOCOL_VERSION_KEY) && this.#protocolVersion === undefined)
      return 'the protocol version in _meta is not a string';
    if (!keys.has('method')) {
      if (keys.has('result') === keys.has('error')) return 'neither a method nor one of result and error';
      if (keys.has('params') || !this.#outcomeIsObject)
        return 'a response with params, or whose result or error is not an object';
      // JSON-RPC 2.0 5: an error may answer a message whose id could not be read.
      if (keys.has('result') && (this.#id === undefined || this.#id === null)) return 'a result without an id';
      return undefined;
    }
    if (!this.#method) return 'method is not a string, or empty';
    if (keys.has('result') || keys.has('error')) return 'a method beside a result or an error';
    // MCP 2026-07-28, Requests: unlike base JSON-RPC, the id is not null.
    if (this.#id === null) return 'the id of a request is null';
    const required = TARGET_PARAM.get(this.#method);
    if (required !== undefined && (required === 'name' ? this.#name : this.#uri) === undefined)
      return `params.${required} is not a string`;
    return undefined;
  }

  #message(span: Span): McpMessage {
    return {
      shape: this.#method === undefined ? 'response' : this.#id === undefined ? 'notification' : 'request',
      id: this.#id,
      idJson: this.#idJson,
      method: this.#method,
      name: this.#name,
      uri: this.#uri,
      taskId: this.#taskId,
      protocolVersion: this.#protocolVersion,
      clientElicitationUrl:
        this.#declaresUrl(this.#metaCapabilities) ||
        (this.#method === 'initialize' && this.#declaresUrl(this.#paramsCapabilities)),
      spans: { message: span, params: this.#params, meta: this.#meta, inputResponses: this.#inputResponses },
    };
  }

  /** Whether the capabilities at `at` hold an object `elicitation.url` (MCP 2025-11-25, Elicitation, Capabilities). */
  #declaresUrl(at: number): boolean {
    return this.#memberObject(this.#memberObject(at, 'elicitation'), 'url') >= 0;
  }

  /** Offset of the object that is member `name` of the object at `at`, the last one counting; else -1. */
  #memberObject(at: number, name: string): number {
    const json = this.#json;
    if (json.bytes[at] !== OPEN_OBJECT) return -1;
    let found = -1;
    json.members(at, 0, (keyStart, keyEnd, valueStart) => {
      // Six bytes a letter, when all of it is escaped.
      if (keyEnd - keyStart <= 6 * name.length + 2 && json.text(keyStart, keyEnd) === name)
        found = json.bytes[valueStart] === OPEN_OBJECT ? valueStart : -1;
      return json.skipValue(valueStart, 0);
    });
    return found;
  }
}
