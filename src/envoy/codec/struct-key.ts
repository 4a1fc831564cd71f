import { LENGTH_DELIMITED } from './wire.ts';

const MEMBER_TAG = (1 << 3) | LENGTH_DELIMITED;
const NAME_TAG = (1 << 3) | LENGTH_DELIMITED;
const VALUE_TAG = (2 << 3) | LENGTH_DELIMITED;
const STRUCT_TAG = (5 << 3) | LENGTH_DELIMITED;
/** As in decodeStruct. */
const MAX_DEPTH = 64;
/** Objects up to this many members are remembered by their bytes: 120 orders. Bigger ones have too many. */
const REMEMBERED_MEMBERS = 5;
/** Characters of remembered texts; beyond them all are forgotten, and numbers are given anew. */
const MAX_REMEMBERED = 16 * 1024 * 1024;

interface Member {
  /** Of equal name and value, whatever the order inside. */
  readonly id: number;
  readonly nameId: number;
}

/**
 * Gives Structs a short key that is equal for those that differ in the order of members only. Envoy's order varies from
 * request to request, at every level, so that a policy has as many byte forms as the product of many factorials;
 * its members, looked at one by one, have few. What is not written the way Envoy writes it (name, then value, no member
 * twice) is a key byte by byte.
 *
 * Equal keys mean equal values. Nothing else is checked; decodeStruct does that, once per key.
 */
export class StructKeys {
  #members = new Map<string, Member>();
  #ids = new Map<string, number>();
  #remembered = 0;
  #lastId = 0;
  #bytes = '';
  /** Where the content of the field begins that was looked at last. */
  #at = 0;

  keyOf(struct: Buffer): string {
    if (this.#remembered > MAX_REMEMBERED) {
      this.#members = new Map();
      this.#ids = new Map();
      this.#remembered = 0;
    }
    this.#bytes = struct.toString('latin1');
    const members = this.#struct(0, this.#bytes.length, 1);
    return members === undefined ? `=${this.#bytes}` : `{${members.join(',')}`;
  }

  /** Ids of the members in `[start, end)`, sorted; undefined where they cannot be told apart or their order matters. */
  #struct(start: number, end: number, depth: number): number[] | undefined {
    if (depth > MAX_DEPTH) return undefined;
    const ids: number[] = [];
    const names: number[] = [];
    for (let at = start; at < end; ) {
      const memberEnd = this.#field(MEMBER_TAG, at, end);
      if (memberEnd < 0) return undefined;
      const text = this.#bytes.slice(at, memberEnd);
      const member = this.#members.get(text) ?? this.#member(text, this.#at, memberEnd, depth);
      if (!member || names.includes(member.nameId)) return undefined; // of two with one name, the last counts
      names.push(member.nameId);
      ids.push(member.id);
      at = memberEnd;
    }
    return ids.sort((a, b) => a - b);
  }

  #member(text: string, start: number, end: number, depth: number): Member | undefined {
    const nameEnd = this.#field(NAME_TAG, start, end);
    if (nameEnd < 0) return undefined;
    const name = this.#bytes.slice(this.#at, nameEnd);
    const valueEnd = this.#field(VALUE_TAG, nameEnd, end);
    if (valueEnd !== end) return undefined;
    const value = this.#bytes.slice(this.#at, end);
    const isStruct = this.#field(STRUCT_TAG, this.#at, end) === end;
    const inside = isStruct ? this.#struct(this.#at, end, depth + 1) : undefined;
    const nameId = this.#id(`n${name}`);
    const valueId = this.#id(inside === undefined ? `=${value}` : `{${inside.join(',')}`);
    const member = { id: this.#id(`m${nameId},${valueId}`), nameId };
    if (inside === undefined || inside.length <= REMEMBERED_MEMBERS) {
      // A cut keeps what it was cut from alive; this copy does not.
      this.#members.set(Buffer.from(text, 'latin1').toString('latin1'), member);
      this.#remembered += text.length;
    }
    return member;
  }

  /** The number of a text; never given to another one, not even after all were forgotten. */
  #id(text: string): number {
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = ++this.#lastId;
      this.#ids.set(text, id);
      this.#remembered += text.length;
    }
    return id;
  }

  /** @returns where the field of that tag at `from` ends; -1 when there is another one, or it does not fit into `end` */
  #field(tag: number, from: number, end: number): number {
    const bytes = this.#bytes;
    if (from >= end || bytes.charCodeAt(from) !== tag) return -1;
    let length = 0;
    let at = from + 1;
    for (let shift = 0; ; shift += 7) {
      if (shift > 21 || at >= end) return -1;
      const byte = bytes.charCodeAt(at++);
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    this.#at = at;
    return at + length > end ? -1 : at + length;
  }
}
