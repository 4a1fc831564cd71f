import { relative } from 'node:path';
import { pathText, type Problem } from '../core/problem.ts';
import type { Output } from './io.ts';

export interface ReportOptions {
  /** NO_COLOR is looked up here (no-color.org). */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Files below it are named relative to it. */
  readonly cwd?: string;
}

/** Prints problems for people, in the order of their files and lines; colours only on a terminal. */
export function printProblems(problems: readonly Problem[], output: Output, options: ReportOptions = {}): void {
  const { env = process.env, cwd = process.cwd() } = options;
  const paint = output.isTTY && !env['NO_COLOR'] ? colour : plain;
  for (const problem of inOrder(problems)) {
    const { severity, code, message, mend } = problem;
    const place = [
      `${fileName(problem.file, cwd)}${problem.line === undefined ? '' : `:${problem.line}`}`,
      pathText(problem.path),
    ]
      .filter((part) => part !== '')
      .join('  ');
    output.write(
      `${paint(`${severity} ${code}`, severity)}  ${visible(place)}\n    ${visible(message)}\n    ${paint('mend:', 'dim')} ${visible(mend)}\n`,
    );
  }
}

/** The same for programs: one JSON object. */
export function problemsJson(problems: readonly Problem[], routes: number | undefined, cwd: string): string {
  const items = inOrder(problems).map(({ code, severity, file, line, path, message, mend }) => ({
    code,
    severity,
    file: fileName(file, cwd),
    line: line ?? null,
    path: pathText(path),
    message,
    mend,
  }));
  return `${JSON.stringify({ problems: items, routes: routes ?? null }, null, 2)}\n`;
}

/** Files in the order they were checked, lines from the top. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const files = [...new Set(problems.map((problem) => problem.file))];
  return [...problems].sort((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || (a.line ?? 0) - (b.line ?? 0));
}

function fileName(file: string, cwd: string): string {
  const short = relative(cwd, file);
  return short === '' || short.startsWith('..') ? file : short;
}

/** Names come from files of others: nothing in them may move the cursor of a terminal, or turn the direction of text. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}

const CODES = { error: 31, warning: 33, dim: 2 } as const;

function colour(text: string, kind: keyof typeof CODES): string {
  return `\u001b[${CODES[kind]}m${text}\u001b[0m`;
}

function plain(text: string): string {
  return text;
}
