import { table } from './table.ts';

/** The parts of JSON Schema that `schema` prints. */
export interface JsonSchema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

/**
 * The schema that `path` leads to. A part is a key, `*` for any entry of a map, `[]` for the items of a list, or
 * `type=jwt` for the variant whose constant `type` is `jwt`.
 * @throws when there is nothing
 */
export function schemaAt(root: JsonSchema, path: readonly string[]): JsonSchema {
  let node: JsonSchema | undefined = root;
  for (const part of path) {
    const [key = '', value] = part.split('=');
    if (value !== undefined) node = node.oneOf?.find((option) => option.properties?.[key]?.const === value);
    else if (part === '*') node = typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined;
    else if (part === '[]') node = node.items;
    else node = node.properties?.[part];
    if (!node) throw new Error(`there is no ${path.join(' ')} in the schema (at ${part})`);
  }
  return node;
}

/** A table of the keys of a block, blocks inside it included; those in `without` are described elsewhere. */
export function keyTable(schema: JsonSchema, without: ReadonlySet<string> = new Set()): string {
  return table(['key', 'kind', 'default', 'meaning'], [...rows(schema, '', without)]);
}

function* rows(schema: JsonSchema, prefix: string, without: ReadonlySet<string>): Iterable<string[]> {
  for (const [key, value] of Object.entries(schema.properties ?? {})) {
    const name = `${prefix}${key}`;
    const required = schema.required?.includes(key) ?? false;
    yield [`\`${name}\``, kindOf(value), required ? '**required**' : shown(value.default), value.description ?? ''];
    // A secret is a block in its long form only, and described once.
    if (value.title === undefined && !without.has(name)) yield* inside(value, name, without);
  }
}

function* inside(value: JsonSchema, name: string, without: ReadonlySet<string>): Iterable<string[]> {
  if (value.properties) yield* rows(value, `${name}.`, without);
  else if (value.items?.properties) yield* rows(value.items, `${name}[].`, without);
  else if (value.items?.oneOf) for (const option of value.items.oneOf) yield* rows(option, `${name}[].`, without);
  else if (typeof value.additionalProperties === 'object' && value.additionalProperties.properties)
    yield* rows(value.additionalProperties, `${name}.<name>.`, without);
}

/** The kind of a value in words; those that are explained carry their title. */
function kindOf(schema: JsonSchema): string {
  if (schema.title !== undefined) return schema.title;
  if (schema.const !== undefined) return code(schema.const);
  if (schema.enum) return schema.enum.map(code).join(', ');
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return [...new Set(options.map(kindOf))].join(' or ');
  if (schema.items) return `list of ${plural(schema.items)}`;
  if (schema.properties) return 'block';
  if (typeof schema.additionalProperties === 'object')
    return isFree(schema.additionalProperties) ? 'map' : `map of ${plural(schema.additionalProperties)}`;
  return { string: 'text', integer: 'number', boolean: 'true or false' }[schema.type ?? ''] ?? 'anything';
}

function plural(schema: JsonSchema): string {
  const kind = kindOf(schema);
  return schema.enum || schema.const !== undefined || kind.includes(' or ') ? kind : `${kind}s`;
}

function isFree(schema: JsonSchema): boolean {
  return Object.keys(schema).length === 0;
}

function shown(value: unknown): string {
  if (value === undefined || isEmptyObject(value)) return '';
  return code(value);
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/** As it is written in YAML, on one line. */
function code(value: unknown): string {
  return `\`${inYaml(value)}\``;
}

function inYaml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inYaml).join(', ')}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([key, item]) => `${key}: ${inYaml(item)}`)
      .join(', ')}}`;
  return String(value);
}
