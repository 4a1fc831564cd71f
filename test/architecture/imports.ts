import { scanSource } from './source-text.ts';

export interface Import {
  /** What is imported from, undefined when it is computed: `import(name)`. */
  readonly from: string | undefined;
  /** The words between `import` or `export` and `from`, empty for `import 'x'` and `import('x')`. */
  readonly clause: string;
  readonly keyword: 'import' | 'export';
  readonly line: number;
}

export interface Source {
  /** Path with forward slashes, beginning with `src/`. */
  readonly path: string;
  readonly text: string;
}

export interface ScannedSource extends Source {
  /** See SourceText. */
  readonly code: string;
  readonly strings: readonly string[];
  readonly imports: readonly Import[];
}

// On scanned code, where a string is `"number"`. Type imports count too: they show who knows whom.
export const STATEMENT = /(?<![.\w$])(import|export)\b([^"`;()=]*?)\bfrom\s*"(\d+)"/g;
const BARE = /(?<![.\w$])import\s*"(\d+)"/g;
const CALL = /(?<![.\w$])(?:import|require)\s*\(\s*(?:"(\d+)")?/g;

export function scan(source: Source): ScannedSource {
  const { code, strings } = scanSource(source.text);
  const named = (index: string | undefined): string | undefined => (index ? strings[Number(index)] : undefined);
  const statements = [...code.matchAll(STATEMENT)].map(
    ({ 1: keyword, 2: clause = '', 3: from, index }): Import => ({
      from: named(from),
      clause: clause.trim(),
      keyword: keyword === 'export' ? 'export' : 'import',
      line: lineAt(code, index),
    }),
  );
  const others = [...code.matchAll(BARE), ...code.matchAll(CALL)].map(
    ({ 1: from, index }): Import => ({ from: named(from), clause: '', keyword: 'import', line: lineAt(code, index) }),
  );
  return { ...source, code, strings, imports: [...statements, ...others] };
}

/** Line number, from 1, of a position. */
export function lineAt(code: string, index: number): number {
  return code.slice(0, index).split('\n').length;
}

/** The file a relative import means, as a path like its importer's; undefined for packages and computed imports. */
export function targetOf(importer: string, { from }: Import): string | undefined {
  if (!from?.startsWith('.')) return undefined;
  return new URL(from, `file:///${importer}`).pathname.slice(1);
}
