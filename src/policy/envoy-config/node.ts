import type { Path } from '../../core/schema-shape.ts';

/**
 * A place in Envoy's configuration: a value, or the absence of one, and the way to it. Field names are given as in
 * the `.proto` files; the spelling of proto JSON (`virtualHosts`) is found as well.
 */
export class Node {
  /** Spellings of the few field names that are asked for, again and again. */
  static readonly #camel = new Map<string, string>();

  readonly value: unknown;
  readonly parent: Node | undefined;
  readonly #key: string | number;

  constructor(value: unknown, parent?: Node, key: string | number = '') {
    this.value = value;
    this.parent = parent;
    this.#key = key;
  }

  get path(): Path {
    const path: (string | number)[] = this.parent ? [this.#key] : [];
    for (let at = this.parent; at?.parent; at = at.parent) path.push(at.#key);
    return path.reverse();
  }

  /** False for a missing field and for an explicit null, which proto JSON reads as missing. */
  get there(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  get(name: string): Node {
    const map = fields(this.value);
    if (!map) return new Node(undefined, this, name);
    if (Object.hasOwn(map, name)) return new Node(map[name], this, name);
    const camel = name.includes('_') ? Node.#camelCase(name) : name;
    return Object.hasOwn(map, camel) ? new Node(map[camel], this, camel) : new Node(undefined, this, name);
  }

  static #camelCase(name: string): string {
    let camel = Node.#camel.get(name);
    if (camel === undefined) {
      camel = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
      Node.#camel.set(name, camel);
    }
    return camel;
  }

  /** A key of a map, taken as it stands. */
  entry(key: string): Node {
    const map = fields(this.value);
    return new Node(map && Object.hasOwn(map, key) ? map[key] : undefined, this, key);
  }

  at(...names: string[]): Node {
    return names.reduce((node: Node, name) => node.get(name), this);
  }

  items(): Node[] {
    return Array.isArray(this.value) ? this.value.map((item, index) => new Node(item, this, index)) : [];
  }

  entries(): [string, Node][] {
    return Object.entries(fields(this.value) ?? {}).map(([key, value]) => [key, new Node(value, this, key)]);
  }

  /** The text, empty when there is none. */
  text(): string {
    return typeof this.value === 'string' ? this.value : '';
  }

  texts(): string[] {
    return this.items().map((item) => item.text());
  }

  flag(): boolean {
    return this.value === true || this.value === 'true';
  }

  /** Proto JSON writes 64-bit numbers as texts; Envoy's YAML does so with any large one. */
  number(): number | undefined {
    const value = typeof this.value === 'string' && this.value !== '' ? Number(this.value) : this.value;
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  }

  /** A Duration (`5s`, `0.200s`) in milliseconds. */
  durationMs(): number | undefined {
    const match = /^(\d+(?:\.\d+)?)s$/.exec(this.text());
    return match ? Number(match[1]) * 1000 : undefined;
  }

  /** Name of the message in an Any: `envoy.extensions.filters.http.ext_authz.v3.ExtAuthz`. */
  type(): string {
    return typeName(this.entry('@type').text());
  }
}

const TYPED_STRUCTS: ReadonlySet<string> = new Set(['xds.type.v3.TypedStruct', 'udpa.type.v1.TypedStruct']);

/** The message inside an Any and its type; a TypedStruct stands for the message it describes. */
export function unpack(any: Node): { readonly type: string; readonly message: Node } {
  const type = any.type();
  return TYPED_STRUCTS.has(type)
    ? { type: typeName(any.get('type_url').text()), message: any.get('value') }
    : { type, message: any };
}

function typeName(url: string): string {
  return url.slice(url.lastIndexOf('/') + 1);
}

function fields(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
