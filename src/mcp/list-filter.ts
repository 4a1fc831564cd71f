import { isUtf8 } from 'node:buffer';
import { JsonScanner, type MemberVisitor, type Span } from './json-scan.ts';
import { foldKey } from './member-keys.ts';

export interface ListRules {
  /** Whether this caller may not call the tool of that name. */
  readonly hides: (tool: string) => boolean;
  /** The request is of a revision whose lists say who may cache them (MCP 2026-07-28, Caching). */
  readonly cacheable: boolean;
}

/** `detail` names members and offsets, never what the backend wrote. */
export type ListEdit =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'edited'; readonly body: Buffer }
  | { readonly kind: 'unreadable'; readonly detail: string };

interface Edit extends Span {
  readonly insert?: string;
}

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;
const QUOTE = 0x22;

const MESSAGE_KEYS = byFold(['result']);
const RESULT_KEYS = byFold(['tools', 'cacheScope', 'resultType', 'ttlMs']);
const TOOL_KEYS = byFold(['name']);

/**
 * Takes the tools that a caller may not call out of one JSON-RPC message, wherever its `result` has a list of `tools`,
 * and makes such a list one that no cache shares between callers. Every other byte is kept. A tool whose name could be
 * read in two ways goes: it could not be called either. A message in which a list might hide is unreadable.
 */
export function filterList(message: Buffer, rules: ListRules): ListEdit {
  if (!isUtf8(message)) return { kind: 'unreadable', detail: 'the message is not UTF-8' };
  return new ListReader(message, rules).read();
}

class ListReader {
  readonly #json: JsonScanner;
  readonly #rules: ListRules;
  readonly #edits: Edit[] = [];
  #fault: string | undefined;
  readonly #seen = new Set<string>();
  #cacheScope: Span | undefined;
  /** The members of the result are those of a revision with caching. */
  #cacheable = false;

  constructor(message: Buffer, rules: ListRules) {
    this.#json = new JsonScanner(message);
    this.#rules = rules;
  }

  read(): ListEdit {
    const json = this.#json;
    const { bytes } = json;
    const start = json.skipSpace(0);
    // Batches are refused in requests, so an array answers nothing that was asked.
    if (bytes[start] !== OPEN_OBJECT) return { kind: 'unreadable', detail: 'the message is no object' };
    const end = json.members(start, 0, this.#messageMember);
    if (end < 0)
      return { kind: 'unreadable', detail: this.#fault ?? `the message is ${json.fault} at byte ${json.faultAt}` };
    if (json.skipSpace(end) < bytes.length)
      return { kind: 'unreadable', detail: `more than one value, at byte ${end}` };
    return this.#edits.length === 0 ? { kind: 'unchanged' } : { kind: 'edited', body: applied(bytes, this.#edits) };
  }

  readonly #messageMember: MemberVisitor = (keyStart, keyEnd, at) => {
    const key = this.#key(MESSAGE_KEYS, keyStart, keyEnd, 'the message');
    if (key === undefined) return -1;
    if (key === '') return this.#json.skipValue(at, 1);
    if (this.#json.bytes[at] !== OPEN_OBJECT) return this.#refuse('the result is no object');
    const end = this.#json.members(at, 1, this.#resultMember);
    if (end >= 0 && this.#seen.has('tools')) this.#keepPrivate(end - 1);
    return end;
  };

  readonly #resultMember: MemberVisitor = (keyStart, keyEnd, at) => {
    const json = this.#json;
    const key = this.#key(RESULT_KEYS, keyStart, keyEnd, 'the result');
    if (key === undefined) return -1;
    if (key === 'tools') return json.bytes[at] === OPEN_ARRAY ? this.#tools(at) : this.#refuse('tools is no list');
    const end = json.skipValue(at, 2);
    if (key === 'cacheScope') this.#cacheScope = { start: at, end };
    else if (key !== '') this.#cacheable = true;
    return end;
  };

  #tools(open: number): number {
    const json = this.#json;
    let previousEnd = open + 1;
    let kept = false;
    /** Hidden and with nothing in front of it: what goes with it reaches to the next one, comma included. */
    let cutFrom = -1;
    return json.elements(open, 2, (at) => {
      const { end, hidden } = this.#tool(at);
      if (end < 0) return -1;
      if (cutFrom >= 0) this.#edits.push({ start: cutFrom, end: at });
      cutFrom = -1;
      if (!hidden) kept = true;
      else if (kept) this.#edits.push({ start: previousEnd, end });
      else {
        this.#edits.push({ start: at, end });
        cutFrom = end;
      }
      previousEnd = end;
      return end;
    });
  }

  #tool(at: number): { end: number; hidden: boolean } {
    const json = this.#json;
    if (json.bytes[at] !== OPEN_OBJECT) return { end: json.skipValue(at, 3), hidden: true };
    let name: string | undefined;
    let clear = true;
    const end = json.members(at, 3, (keyStart, keyEnd, valueStart) => {
      const valueEnd = json.skipValue(valueStart, 4);
      if (valueEnd < 0) return -1;
      const key = keyOf(json, keyStart, keyEnd, TOOL_KEYS);
      if (key === undefined || (key === 'name' && name !== undefined)) clear = false;
      else if (key === 'name' && json.bytes[valueStart] === QUOTE) name = json.text(valueStart, valueEnd);
      return valueEnd;
    });
    // Calls are judged by the composed form only (scan-message.ts), so no other name can be called.
    const callable = clear && name !== undefined && name === name.normalize('NFC');
    return { end, hidden: !callable || this.#rules.hides(name as string) };
  }

  /** MCP 2026-07-28, Caching: a list that depends on the caller is `private`; without the member it may pass for shared. */
  #keepPrivate(close: number): void {
    const json = this.#json;
    const known = this.#cacheScope;
    if (known) {
      const isPrivate = json.bytes[known.start] === QUOTE && json.text(known.start, known.end) === 'private';
      if (!isPrivate) this.#edits.push({ ...known, insert: '"private"' });
    } else if (this.#rules.cacheable || this.#cacheable) {
      this.#edits.push({ start: close, end: close, insert: ',"cacheScope":"private"' });
    }
  }

  /** A key's name when it is known, '' for any other, undefined after a fault. */
  #key(known: ReadonlyMap<string, string>, start: number, end: number, where: string): string | undefined {
    const key = keyOf(this.#json, start, end, known);
    if (key === undefined || (key !== '' && this.#seen.has(key))) {
      this.#refuse(`${where} has a key that parsers read differently`);
      return undefined;
    }
    if (key !== '') this.#seen.add(key);
    return key;
  }

  #refuse(detail: string): -1 {
    this.#fault = detail;
    return -1;
  }
}

function byFold(names: readonly string[]): ReadonlyMap<string, string> {
  return new Map(names.map((name) => [foldKey(name), name]));
}

/** The known name that the key literal spells, '' for none of them, undefined for what only some parsers take for one. */
function keyOf(json: JsonScanner, start: number, end: number, known: ReadonlyMap<string, string>): string | undefined {
  const key = json.text(start, end);
  // A JavaScript client that copies members one by one makes `__proto__` the prototype.
  if (key === undefined || key === '__proto__') return undefined;
  const name = known.get(foldKey(key)) ?? '';
  return name === '' || name === key ? name : undefined;
}

function applied(bytes: Buffer, edits: readonly Edit[]): Buffer {
  const parts: Buffer[] = [];
  let from = 0;
  for (const { start, end, insert } of edits.toSorted((a, b) => a.start - b.start)) {
    parts.push(bytes.subarray(from, start), Buffer.from(insert ?? ''));
    from = end;
  }
  return Buffer.concat([...parts, bytes.subarray(from)]);
}
