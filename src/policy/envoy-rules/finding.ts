import type { Problem, ProblemCode } from '../../core/problem.ts';
import type { SourceDocument } from '../../core/source-document.ts';
import type { Node } from '../envoy-config/node.ts';

/** A fault at one place of Envoy's configuration, seen from one route. */
export interface Finding {
  readonly code: ProblemCode;
  readonly severity: Problem['severity'];
  readonly node: Node;
  readonly message: string;
  readonly mend: string;
  /** The route that suffers from it, where it does not stand in the route itself. */
  readonly route?: string;
}

/** Makes one problem of all findings that say the same of the same place, however many routes suffer from it. */
export function mergeFindings(findings: Iterable<Finding>, document: SourceDocument): Problem[] {
  const merged = new Map<string, { finding: Finding; path: Problem['path']; routes: Set<string> }>();
  for (const finding of findings) {
    const { path } = finding.node;
    const key = `${finding.code} ${path.join('\n')} ${finding.message}`;
    let entry = merged.get(key);
    if (!entry) {
      entry = { finding, path, routes: new Set() };
      merged.set(key, entry);
    }
    if (finding.route !== undefined) entry.routes.add(finding.route);
  }
  return [...merged.values()].map(({ finding, path, routes }) => {
    const line = document.lineOf(path);
    const { code, severity, mend } = finding;
    return {
      code,
      severity,
      file: document.file,
      path,
      ...(line === undefined ? {} : { line }),
      message: `${finding.message}${affected(routes)}`,
      mend,
    };
  });
}

function affected(routes: ReadonlySet<string>): string {
  const [first] = routes;
  if (first === undefined) return '';
  return routes.size === 1 ? ` (route ${first})` : ` (route ${first} and ${routes.size - 1} more)`;
}
