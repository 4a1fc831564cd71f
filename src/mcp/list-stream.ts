import { filterList, type ListRules } from './list-filter.ts';

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

interface Line {
  readonly start: number;
  /** Behind the text, before the line's end. */
  readonly textEnd: number;
  /** Behind the line's end. */
  readonly end: number;
}

/**
 * Filters the lists of tools in an event stream (WHATWG HTML, 9.2 Server-sent events), in pieces as they come. Events
 * are held until they are whole, then passed on byte by byte, apart from what `filterList` takes out of their data.
 * One that cannot be read is left out.
 */
export class ListStream {
  readonly #rules: ListRules;
  readonly #maxEvent: number;
  #pending: Buffer = Buffer.alloc(0);
  /** Where the line begins that is not complete yet, and up to where it was looked at. */
  #lineStart = 0;
  #at = 0;
  #isFirst = true;
  /** Why the first message was left out; events that are no messages do not count. */
  fault: string | undefined;
  /** An event is longer than may be held; nothing more is passed on. */
  tooLarge = false;

  /** @param maxEvent bytes of the largest event */
  constructor(rules: ListRules, maxEvent: number) {
    this.#rules = rules;
    this.#maxEvent = maxEvent;
  }

  /**
   * @param end nothing follows: an event that is not complete counts as one
   * @returns what may pass on, perhaps nothing yet
   */
  push(chunk: Buffer, end: boolean): Buffer {
    if (this.tooLarge) return Buffer.alloc(0);
    const passed: Buffer[] = [];
    const pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    let start = 0;
    for (;;) {
      const line = lineAt(pending, this.#lineStart, this.#at, end);
      if (line.end < 0) {
        this.#at = line.textEnd;
        break;
      }
      this.#at = line.end;
      this.#lineStart = line.end;
      if (line.textEnd === line.start) {
        passed.push(this.#event(pending.subarray(start, line.end)));
        start = line.end;
      }
    }
    if (end && start < pending.length) {
      passed.push(this.#event(pending.subarray(start)));
      start = pending.length;
    }
    this.#at -= start;
    this.#lineStart -= start;
    // A copy: chunks are views of messages that would be kept with them.
    this.#pending = Buffer.from(pending.subarray(start));
    this.tooLarge = this.#pending.length > this.#maxEvent;
    return Buffer.concat(passed);
  }

  /** @param event its lines, the empty one included that ends it */
  #event(event: Buffer): Buffer {
    const skipped = this.#isFirst && event.subarray(0, BOM.length).equals(BOM) ? BOM.length : 0;
    this.#isFirst = false;
    const lines = linesOf(event, skipped);
    const data = lines.filter((line) => isField(event, line, 'data'));
    const values = data.map((line) => event.subarray(valueStart(event, line), line.textEnd));
    const message = values.length === 1 ? (values[0] as Buffer) : joined(values);
    if (message.length === 0) return event;
    const edit = filterList(message, this.#rules);
    if (edit.kind === 'unchanged') return event;
    if (edit.kind === 'unreadable') {
      if (isMessage(event, lines)) this.fault ??= edit.detail;
      return Buffer.alloc(0);
    }
    return withData(event, lines, edit.body);
  }
}

/** The line that begins at `start`; `end` is -1 while it is not complete, `textEnd` then says where to go on looking. */
function lineAt(bytes: Buffer, start: number, from: number, last: boolean): Line {
  let i = from;
  while (i < bytes.length && bytes[i] !== LF && bytes[i] !== CR) i++;
  // Behind a CR at the end of a piece the LF that belongs to it may still come.
  if (i === bytes.length || (bytes[i] === CR && i + 1 === bytes.length && !last)) return { start, textEnd: i, end: -1 };
  return { start, textEnd: i, end: bytes[i] === CR && bytes[i + 1] === LF ? i + 2 : i + 1 };
}

function linesOf(event: Buffer, from: number): Line[] {
  const lines: Line[] = [];
  for (let at = from; at < event.length; ) {
    const line = lineAt(event, at, at, true);
    lines.push(line.end < 0 ? { ...line, end: event.length } : line);
    at = line.end < 0 ? event.length : line.end;
  }
  return lines;
}

function isField(event: Buffer, { start, textEnd }: Line, name: string): boolean {
  const end = start + name.length;
  if (end > textEnd || event.toString('latin1', start, end) !== name) return false;
  return end === textEnd || event[end] === COLON;
}

/** Behind the colon and one space. */
function valueStart(event: Buffer, { start, textEnd }: Line): number {
  let i = start;
  while (i < textEnd && event[i] !== COLON) i++;
  if (i === textEnd) return i;
  return i + 1 < textEnd && event[i + 1] === SPACE ? i + 2 : i + 1;
}

/** MCP messages are events without a type, or of the default one. */
function isMessage(event: Buffer, lines: readonly Line[]): boolean {
  const type = lines.findLast((line) => isField(event, line, 'event'));
  const text = type === undefined ? '' : event.toString('utf8', valueStart(event, type), type.textEnd);
  return text === '' || text === 'message';
}

function joined(values: readonly Buffer[]): Buffer {
  return Buffer.concat(values.flatMap((value, i) => (i === 0 ? [value] : [Buffer.from('\n'), value])));
}

/** The event with other data in the place of its first data line; the further ones go. */
function withData(event: Buffer, lines: readonly Line[], data: Buffer): Buffer {
  const parts: Buffer[] = [event.subarray(0, lines[0]?.start ?? 0)];
  let written = false;
  for (const line of lines) {
    if (!isField(event, line, 'data')) parts.push(event.subarray(line.start, line.end));
    else if (!written) {
      const name = event.subarray(line.start, valueStart(event, line));
      const lineEnd = event.subarray(line.textEnd, line.end);
      // JSON that stood on several lines may still have line breaks between its tokens.
      for (const text of data.toString('latin1').split('\n')) parts.push(name, Buffer.from(text, 'latin1'), lineEnd);
      written = true;
    }
  }
  return Buffer.concat(parts);
}
