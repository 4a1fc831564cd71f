import { type ScannedSource, targetOf } from './imports.ts';
import type { Violation } from './violation.ts';

/** Circles of files that import each other, each reported once, at the import that closes it. */
export function findCycles(sources: readonly ScannedSource[]): Violation[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const finished = new Set<string>();
  const way: string[] = [];
  const found: Violation[] = [];

  const visit = (source: ScannedSource): void => {
    way.push(source.path);
    for (const imported of source.imports) {
      const target = targetOf(source.path, imported);
      const next = target === undefined ? undefined : byPath.get(target);
      if (!next || finished.has(next.path)) continue;
      const start = way.indexOf(next.path);
      if (start < 0) visit(next);
      else
        found.push({
          path: source.path,
          line: imported.line,
          problem: `cycle: ${[...way.slice(start), next.path].join(' → ')}`,
        });
    }
    way.pop();
    finished.add(source.path);
  };

  for (const source of sources) if (!finished.has(source.path)) visit(source);
  return found;
}
