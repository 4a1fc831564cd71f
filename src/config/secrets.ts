import { resolve } from 'node:path';
import type { Problem } from '../core/problem.ts';
import type { Path } from '../core/schema-shape.ts';
import { SecretRef } from '../core/secret.ts';
import { readText } from './read-file.ts';

/** Keys, certificates and passwords are small; anything larger is the wrong file. */
const MAX_SECRET_BYTES = 64 * 1024;

/**
 * Reads every secret that the parsed config names, in place. What could not be read stays unread, so that using it
 * throws; the problems say so first.
 * @param folder where relative paths start
 */
export function readSecrets(
  config: unknown,
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
): Problem[] {
  const problems: Problem[] = [];
  for (const [path, secret] of secretsIn(config, [])) {
    const problem = readSecret(secret, folder, env);
    if (problem) problems.push({ code: 'V-16', severity: 'error', file: '', path, ...problem });
  }
  return problems;
}

/** The files that secrets of the parsed config come from, as absolute paths. */
export function secretFiles(config: unknown, folder: string): string[] {
  return [...secretsIn(config, [])].flatMap(([, secret]) => {
    const source = secret.source();
    return 'file' in source ? [resolve(folder, source.file)] : [];
  });
}

function* secretsIn(value: unknown, path: Path): Iterable<[Path, SecretRef]> {
  if (value instanceof SecretRef) yield [path, value];
  else if (Array.isArray(value)) for (const [index, item] of value.entries()) yield* secretsIn(item, [...path, index]);
  else if (typeof value === 'object' && value !== null)
    for (const [key, item] of Object.entries(value)) yield* secretsIn(item, [...path, key]);
}

function readSecret(
  secret: SecretRef,
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
): Pick<Problem, 'message' | 'mend'> | undefined {
  const source = secret.source();
  if ('literal' in source) {
    secret.read(source.literal);
    return undefined;
  }
  if ('env' in source) {
    const value = env[source.env];
    if (value) secret.read(value);
    // The secret itself may have been written where its variable or file belongs.
    const name = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(source.env) ? ` ${source.env}` : '';
    const fault = `the environment variable${name} is ${value === undefined ? 'not set' : 'empty'}`;
    return value ? undefined : { message: fault, mend: name ? `set${name}` : 'write the name of a variable' };
  }
  const name = /^[\w./\\: -]{1,256}$/.test(source.file) ? ` ${source.file}` : '';
  const text = readText(resolve(folder, source.file), MAX_SECRET_BYTES);
  if (typeof text !== 'string') return { message: `the file${name} ${text.message}`, mend: text.mend };
  const value = text.replace(/\r?\n$/, ''); // editors and `echo` end files with one
  if (value === '') return { message: `the file${name} is empty`, mend: 'write the secret into it' };
  secret.read(value);
  return undefined;
}
