import type { z } from 'zod';
import { nearest } from './nearest.ts';
import type { Problem } from './problem.ts';
import { isSecretAt, keysAt, type Path, valueAt } from './schema-shape.ts';

type Issue = z.core.$ZodIssue;

/** One fault as people read it; `path` is where it stands. */
interface Fault {
  readonly path: Path;
  readonly message: string;
  readonly mend: string;
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  record: 'a map',
};

const SECRET_FORM = 'must be a text, {env: NAME} or {file: PATH}';

/**
 * What zod found, in sentences. Values never stand in them: any of them may be a secret at the wrong place.
 * @param data what was parsed
 */
export function schemaProblems(schema: z.core.$ZodType, data: unknown, error: z.core.$ZodError): Problem[] {
  const faults = error.issues.flatMap((issue) => faultsOf(issue, [], schema, data));
  return faults.map((one) => ({ code: 'SCHEMA', severity: 'error', file: '', ...one }));
}

function faultsOf(issue: Issue, base: Path, schema: z.core.$ZodType, data: unknown): Fault[] {
  const path = [...base, ...(issue.path as (string | number)[])];
  const value = valueAt(data, path);
  if (isSecretAt(schema, path, data)) {
    return value === ''
      ? [fault(path, 'is empty', 'write the secret, or where to read it')]
      : [wrongOrMissing(path, value, SECRET_FORM)];
  }
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey([...path, key], key, keysAt(schema, path, data)));
    case 'invalid_type':
      return [wrongOrMissing(path, value, `must be ${KINDS[issue.expected] ?? issue.expected}`)];
    case 'invalid_value':
      return [notOneOf(path, value, issue.values.map(String))];
    case 'invalid_union':
      return 'discriminator' in issue && issue.errors.length === 0
        ? [notOneOf(path, value, ((issue as { options?: unknown[] }).options ?? []).map(String))]
        : unionFaults(issue.errors, path, schema, data);
    case 'invalid_key':
      return issue.issues.map((inner) => fault(path, `the name ${ownMessage(inner) ?? 'is not allowed'}`, 'rename it'));
    case 'too_small':
      return [
        fault(
          path,
          ownMessage(issue) ?? `must not be ${issue.minimum === 1 ? 'empty' : `less than ${issue.minimum}`}`,
          'give a value',
        ),
      ];
    case 'too_big':
      return [fault(path, ownMessage(issue) ?? `must not be more than ${issue.maximum}`, 'make it smaller')];
    default:
      return [wrongOrMissing(path, value, ownMessage(issue) ?? 'has the wrong form')];
  }
}

/** Of several forms, the one that the value has; when it has none, all of them. */
function unionFaults(branches: readonly Issue[][], path: Path, schema: z.core.$ZodType, data: unknown): Fault[] {
  const meant = branches.filter(
    (branch) => !branch.some((issue) => issue.code === 'invalid_type' && issue.path.length === 0),
  );
  const best = meant.sort((a, b) => a.length - b.length)[0];
  if (best) return best.flatMap((issue) => faultsOf(issue, path, schema, data));
  const kinds = branches.flatMap((branch) =>
    branch.flatMap((issue) => (issue.code === 'invalid_type' ? (KINDS[issue.expected] ?? []) : [])),
  );
  return [wrongOrMissing(path, valueAt(data, path), `must be ${[...new Set(kinds)].join(' or ')}`)];
}

function unknownKey(path: Path, key: string, known: readonly string[]): Fault {
  const near = nearest(key, known);
  const mend = near
    ? `did you mean \`${near}\`?`
    : known.length > 0
      ? `remove it; known here: ${known.join(', ')}`
      : 'remove it';
  return fault(path, 'is not a known key', mend);
}

function notOneOf(path: Path, value: unknown, options: readonly string[]): Fault {
  const near = typeof value === 'string' ? nearest(value, options) : undefined;
  return {
    ...wrongOrMissing(path, value, `must be one of ${options.join(', ')}`),
    ...(near ? { mend: `did you mean \`${near}\`?` } : {}),
  };
}

function wrongOrMissing(path: Path, value: unknown, message: string): Fault {
  const name = String(path.at(-1) ?? 'it');
  if (value === undefined)
    return fault(
      path,
      message === 'has the wrong form' ? 'is missing' : `is missing; it ${message}`,
      `add \`${name}\``,
    );
  if (value === null) return fault(path, `is empty; it ${message}`, `give \`${name}\` a value, or leave it out`);
  const quoted = message === 'must be a text' && typeof value !== 'object';
  return fault(path, message, quoted ? 'put it in quotes' : 'correct the value');
}

/** A sentence of our own schema; zod's stock ones are replaced. */
function ownMessage(issue: { readonly message: string }): string | undefined {
  return /^(Invalid|Too |Unrecognized)/.test(issue.message) ? undefined : issue.message;
}

function fault(path: Path, message: string, mend: string): Fault {
  return { path, message, mend };
}
