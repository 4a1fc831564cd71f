import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
  type YAMLError,
} from 'yaml';
import { envoyScalars } from './envoy-yaml.ts';
import type { Problem } from './problem.ts';
import type { Path } from './schema-shape.ts';

/** A YAML or JSON text with the way back from a value to its line. */
export interface SourceDocument {
  /** The file as the user named it. */
  readonly file: string;
  readonly value: unknown;
  /** Line of the key or item at `path`, or of the nearest one above it that exists; 1 is the first. */
  lineOf(path: Path): number | undefined;
}

/**
 * `own`: YAML 1.2, and `<<` copies the keys of another map. `envoy`: as Envoy reads it, with its own scalars, `<<` a
 * key like any other, and entries left out whose key carries the tag `!ignore` (people keep their anchors there).
 */
export type Dialect = 'own' | 'envoy';

export type ReadResult =
  | { readonly ok: true; readonly document: SourceDocument }
  | { readonly ok: false; readonly problems: Problem[] };

/** Anchors may stand for more than the text holds; a document that unfolds to more values than this is refused. */
const MAX_VALUES = 10_000_000;

/** Reads YAML or JSON; a fault is told with its line, never with the text around it, which may be a secret. */
export function parseSource(file: string, text: string, dialect: Dialect): ReadResult {
  const json = /^\s*[{[]/.test(text) ? parseJson(text) : undefined;
  if (json !== undefined) return { ok: true, document: jsonDocument(file, text, json, dialect) };
  try {
    const parsed = parseYaml(file, text, dialect);
    if (!parsed.ok) return parsed;
    const { document, lines } = parsed;
    const value: unknown = document.toJS({ maxAliasCount: -1 });
    if (unfoldedSize(value, new Map()) <= MAX_VALUES)
      return { ok: true, document: { file, value, lineOf: (path) => lineOf(document, lines, path) } };
    return failed(file, 'unfolds to too many values through its anchors', 'use fewer anchors inside anchors');
  } catch {
    return failed(
      file,
      'is nested too deeply, or an anchor in it contains itself',
      'correct the nesting and the anchors',
    );
  }
}

/** JSON is read by the faster parser; its lines are only looked for when somebody asks. */
function jsonDocument(file: string, text: string, value: unknown, dialect: Dialect): SourceDocument {
  let parsed: ReturnType<typeof parseYaml> | undefined;
  return {
    file,
    value,
    lineOf(path) {
      if (!text.includes('\n')) return undefined;
      parsed ??= parseYaml(file, text, dialect);
      return parsed.ok ? lineOf(parsed.document, parsed.lines, path) : undefined;
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function parseYaml(
  file: string,
  text: string,
  dialect: Dialect,
): { ok: true; document: Document; lines: LineCounter } | { ok: false; problems: Problem[] } {
  const lines = new LineCounter();
  const ignores = dialect === 'envoy' && text.includes('!ignore');
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'silent',
    ...(dialect === 'own' ? { merge: true } : { schema: 'failsafe', customTags: envoyScalars, stringKeys: !ignores }),
  });
  const [document, second] = 'empty' in documents ? [] : documents;
  if (!document) return failed(file, 'is empty', 'write the configuration into it');
  const [first] = document.errors;
  if (first) {
    // What follows a fault of syntax is mostly its echo; repeated keys stand for themselves.
    const told = document.errors.filter((error) => error === first || error.code === 'DUPLICATE_KEY');
    return { ok: false, problems: told.map((error) => yamlProblem(file, error, lines)) };
  }
  if (second) return failed(file, 'holds more than one YAML document', 'remove the `---` and what follows it');
  if (!isMap(document.contents))
    return failed(
      file,
      document.contents === null ? 'is empty' : 'is not a YAML map',
      'write the configuration into it',
    );
  if (ignores) hideIgnored(document);
  return { ok: true, document, lines };
}

/** Sentences of our own: the parser's quote the text, and the text may be a secret. */
const YAML_FAULTS: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'the same key stands twice in one map',
  TAB_AS_INDENT: 'a tab is used for indentation; YAML wants spaces',
  BAD_INDENT: 'the indentation is wrong',
  MISSING_CHAR: 'a character such as `:`, `,`, a quote or a bracket is missing',
  BAD_ALIAS: 'an alias or anchor is malformed',
};

function yamlProblem(file: string, error: YAMLError, lines: LineCounter): Problem {
  const message =
    YAML_FAULTS[error.code] ?? `this is not valid YAML (${error.code.toLowerCase().replaceAll('_', ' ')})`;
  return {
    code: 'FILE',
    severity: 'error',
    file,
    path: [],
    line: lines.linePos(error.pos[0]).line,
    message,
    mend: 'correct the YAML here',
  };
}

/**
 * Moves ignored entries out of the way; they cannot be removed, because their anchors are still needed. Keys with a
 * tag are refused where keys are kept as texts, so that is done here for all of them.
 */
function hideIgnored(document: Document): void {
  visit(document, {
    Pair(_, { key }) {
      if (!isScalar(key)) return;
      key.value = key.tag === '!ignore' ? `!ignore ${key.source ?? ''}` : (key.source ?? String(key.value));
    },
  });
}

function lineOf(document: Document, lines: LineCounter, path: Path): number | undefined {
  let node: unknown = document.contents;
  let at = rangeStart(node);
  for (const key of path) {
    if (isAlias(node)) node = node.resolve(document);
    const pair: Pair | undefined = isMap(node)
      ? node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key))
      : undefined;
    node = isSeq(node) ? node.items[Number(key)] : pair?.value;
    const start = rangeStart(pair?.key ?? node);
    if (start === undefined) break;
    at = start;
  }
  return at === undefined ? undefined : lines.linePos(at).line;
}

function rangeStart(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

/** How many values there are once every alias is written out; a shared part is looked at once and counted each time. */
function unfoldedSize(value: unknown, known: Map<object, number>): number {
  if (typeof value !== 'object' || value === null) return 1;
  const before = known.get(value);
  if (before !== undefined) return before;
  known.set(value, Number.POSITIVE_INFINITY); // an anchor that contains itself
  let size = 1;
  for (const item of Object.values(value)) size += unfoldedSize(item, known);
  known.set(value, size);
  return size;
}

function failed(file: string, message: string, mend: string): { ok: false; problems: Problem[] } {
  return { ok: false, problems: [{ code: 'FILE', severity: 'error', file, path: [], message, mend }] };
}
