import { findCycles } from './cycles.ts';
import { findEgress } from './egress.ts';
import { lineAt, type ScannedSource, type Source, STATEMENT, scan, targetOf } from './imports.ts';
import type { Violation } from './violation.ts';

const FEATURES = ['core', 'net', 'observe', 'mcp', 'authn', 'upstream', 'strategies', 'propagation', 'policy'];

/**
 * Who may import whom. A room is a folder of `src`, or a file that lies in `src` itself; everybody may import from
 * the room they are in. Features never import config or adapters, and only `app` knows all the concrete parts.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  net: ['core'],
  observe: ['core'],
  mcp: ['core'],
  authn: ['core', 'net'],
  upstream: ['core', 'net'],
  strategies: ['core', 'net', 'upstream'],
  propagation: ['core', 'mcp'],
  policy: ['core', 'authn', 'strategies', 'propagation', 'mcp'],
  pipeline: ['core', 'policy', 'authn', 'strategies', 'propagation', 'mcp'],
  config: ['core', 'policy', 'upstream', 'authn', 'observe'],
  envoy: ['core', 'pipeline', 'mcp'],
  http: ['core', 'upstream', 'mcp'],
  // What backends import: it must not need the service.
  verify: [],
  app: [...FEATURES, 'pipeline', 'config', 'envoy', 'http'],
  // A second composition: the same decision, with hands that touch nothing.
  explain: [...FEATURES, 'pipeline', 'config', 'envoy'],
  cli: ['core', 'config', 'policy', 'propagation', 'upstream', 'app', 'explain'],
  main: ['cli'],
};

const MAX_LINES = 300;

/** Everything in the sources that breaks a rule of the architecture. No sources at all is a violation too. */
export function findViolations(sources: readonly Source[]): Violation[] {
  if (sources.length === 0) return [{ path: 'src/', line: 1, problem: 'no sources found' }];
  const scanned = sources.map(scan);
  return [...scanned.flatMap((source) => RULES.flatMap((rule) => rule(source))), ...findCycles(scanned)];
}

type Rule = (source: ScannedSource) => Violation[];

const RULES: readonly Rule[] = [directions, computedImports, findEgress, exits, lengths, barrels];

/** `core` for src/core/secret.ts, `app` for src/app.ts. */
function roomOf(path: string): string {
  return path.replace(/^src\//, '').replace(/[/.].*$/, '');
}

function directions(source: ScannedSource): Violation[] {
  const room = roomOf(source.path);
  const allowed = MAY_IMPORT[room];
  if (!allowed) return [{ path: source.path, line: 1, problem: `the room ${room} is not in the table` }];
  return source.imports.flatMap((imported) => {
    const target = targetOf(source.path, imported);
    if (target === undefined) return [];
    const at = { path: source.path, line: imported.line };
    if (!target.startsWith('src/')) return [{ ...at, problem: `imports ${target}, outside src` }];
    const other = roomOf(target);
    if (other === room || allowed.includes(other)) return [];
    return [{ ...at, problem: `${room} may not import ${other} (${target})` }];
  });
}

function computedImports({ path, imports }: ScannedSource): Violation[] {
  return imports
    .filter(({ from }) => from === undefined)
    .map(({ line }) => ({ path, line, problem: 'computed import: nobody can see what it brings in' }));
}

/** Only the command line ends the process: elsewhere it would cut short what others are doing. */
function exits({ path, code, strings, imports }: ScannedSource): Violation[] {
  if (path === 'src/main.ts') return [];
  const called = [...code.matchAll(/(?<![\w$])process\s*\??\.\s*(?:exit|abort|reallyExit)\b/g)];
  const computed = [...code.matchAll(/(?<![\w$])process\s*(?:\?\.)?\s*\[\s*"(\d+)"/g)].filter(({ 1: index }) =>
    ['exit', 'abort', 'reallyExit'].includes(strings[Number(index)] ?? ''),
  );
  const imported = imports.filter(
    ({ from, clause }) => /^(node:)?process$/.test(from ?? '') && /\b(exit|abort)\b/.test(clause),
  );
  const lines = [
    ...[...called, ...computed].map(({ index }) => lineAt(code, index)),
    ...imported.map(({ line }) => line),
  ];
  return lines.map((line) => ({ path, line, problem: 'ends the process: only src/main.ts may' }));
}

function lengths({ path, text }: ScannedSource): Violation[] {
  const lines = text.trimEnd().split('\n').length;
  return lines > MAX_LINES ? [{ path, line: MAX_LINES + 1, problem: `${lines} lines, ${MAX_LINES} at most` }] : [];
}

/** A name is exported by the file that defines it, and by no other. */
function barrels({ path, code, imports }: ScannedSource): Violation[] {
  const passedOn = imports.filter(({ keyword }) => keyword === 'export');
  const wildcards = passedOn.filter(({ clause }) => /^(type\s*)?\*/.test(clause));
  const rest = code.replaceAll(STATEMENT, '').replaceAll(/[;\s]/g, '');
  if (/(^|\/)index\.ts$/.test(path) || (passedOn.length > 0 && rest === '')) {
    return [{ path, line: 1, problem: 'a barrel: import from the file that defines the name' }];
  }
  return wildcards.map(({ line }) => ({ path, line, problem: 'export *: import from the file that defines the name' }));
}
