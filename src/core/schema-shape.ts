import type { z } from 'zod';

/** A path inside a document: keys and indexes. */
export type Path = readonly (string | number)[];

/** What zod tells of a schema; only the kinds our schemas use. */
interface Definition {
  readonly type: string;
  readonly innerType?: z.core.$ZodType;
  readonly in?: z.core.$ZodType;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly element?: z.core.$ZodType;
  readonly valueType?: z.core.$ZodType;
  readonly options?: readonly z.core.$ZodType[];
  readonly discriminator?: string;
}

function definition(schema: z.core.$ZodType): Definition {
  return schema._zod.def;
}

/** The alternatives that `schema` stands for, without wrappers such as defaults and transforms. */
function alternatives(schema: z.core.$ZodType, value: unknown): z.core.$ZodType[] {
  const def = definition(schema);
  const inner = def.innerType ?? def.in;
  if (inner) return alternatives(inner, value);
  if (!def.options) return [schema];
  const { discriminator } = def;
  const chosen =
    discriminator === undefined ? undefined : (value as Record<string, unknown> | undefined)?.[discriminator];
  const options =
    discriminator === undefined
      ? def.options
      : def.options.filter((option) => option._zod.propValues?.[discriminator]?.has(chosen as string));
  return options.flatMap((option) => alternatives(option, value));
}

function child(schema: z.core.$ZodType, key: string | number): z.core.$ZodType | undefined {
  const def = definition(schema);
  if (def.shape) return Object.hasOwn(def.shape, key) ? def.shape[key] : undefined;
  return def.valueType ?? def.element;
}

/** The schemas that may stand at `path`; `data` decides between variants. */
function schemasAt(schema: z.core.$ZodType, path: Path, data: unknown): z.core.$ZodType[] {
  let found = [schema];
  let value = data;
  for (const key of path) {
    found = found.flatMap((one) => alternatives(one, value)).flatMap((one) => child(one, key) ?? []);
    value = (value as Record<string | number, unknown> | null | undefined)?.[key];
  }
  return found;
}

/** Keys that may be written at `path`. */
export function keysAt(schema: z.core.$ZodType, path: Path, data: unknown): string[] {
  const value = valueAt(data, path);
  const keys = schemasAt(schema, path, data)
    .flatMap((one) => alternatives(one, value))
    .flatMap((one) => Object.keys(definition(one).shape ?? {}));
  return [...new Set(keys)];
}

/** True where a secret is expected (core/scalars): a text, `{env}` or `{file}`. Keys there may be misplaced secrets. */
export function isSecretAt(schema: z.core.$ZodType, path: Path, data: unknown): boolean {
  return schemasAt(schema, path, data).some((one) => {
    const shapes = alternatives(one, undefined).map((option) => Object.keys(definition(option).shape ?? {}).join());
    return shapes.includes('env') && shapes.includes('file');
  });
}

export function valueAt(data: unknown, path: Path): unknown {
  let value = data;
  for (const key of path) value = (value as Record<string | number, unknown> | null | undefined)?.[key];
  return value;
}
