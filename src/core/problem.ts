/**
 * The codes of start-up validation; see docs/reference/validation.md. `SCHEMA` marks a value of the wrong shape,
 * `RESTART` a change that a running service cannot make (docs/operations/changing-configuration.md). */
export type ProblemCode = `V-${number}` | 'SCHEMA' | 'FILE' | 'RESTART';

/** One thing that is wrong with a configuration, and what to write instead. Never holds a secret's value. */
export interface Problem {
  readonly code: ProblemCode;
  readonly severity: 'error' | 'warning';
  /** File it stands in, as the user named it; empty while only the path inside is known. */
  readonly file: string;
  /** Place inside the file: keys and indexes. */
  readonly path: readonly (string | number)[];
  readonly line?: number;
  readonly message: string;
  readonly mend: string;
}

/** `routes[0].metadata."mcp.identity"`: the path as people read it. */
export function pathText(path: readonly (string | number)[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[\w@-]+$/.test(part)) text += text ? `.${part}` : part;
    else text += `${text ? '.' : ''}"${part}"`;
  }
  return text;
}
