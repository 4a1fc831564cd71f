import { readFileSync, statSync } from 'node:fs';
import type { Problem } from '../core/problem.ts';
import { type Dialect, parseSource, type ReadResult } from '../core/source-document.ts';

/** Reads a YAML or JSON file up to `maxBytes`. */
export function readSourceFile(file: string, maxBytes: number, dialect: Dialect): ReadResult {
  const text = readText(file, maxBytes);
  return typeof text === 'string' ? parseSource(file, text, dialect) : { ok: false, problems: [{ ...text, file }] };
}

/** The text of a file, or why there is none. */
export function readText(
  file: string,
  maxBytes: number,
): string | Pick<Problem, 'code' | 'severity' | 'path' | 'message' | 'mend'> {
  const fault = (message: string, mend: string) =>
    ({ code: 'FILE', severity: 'error', path: [], message, mend }) as const;
  let bytes: Buffer;
  try {
    if (statSync(file).size > maxBytes) return fault(`is larger than ${maxBytes} bytes`, 'name the right file');
    bytes = readFileSync(file);
  } catch (error) {
    return fault(
      `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`,
      'name a file that exists and that this user may read',
    );
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return fault('is not UTF-8', 'save it as UTF-8');
  }
}
