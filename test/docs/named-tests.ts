import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from './page-list.ts';

export interface NamedTest {
  /** Below test/. */
  readonly file: string;
  readonly name: string;
}

/** Tests as pages name them: `` `e2e/attacks.test.ts`: *Expect: 100-continue changes nothing* ``. */
export function testsNamedIn(markdown: string): NamedTest[] {
  return [...markdown.matchAll(/`([\w./-]+\.ts)`: \*((?:[^*\\\n]|\\.)+)\*/g)].map(([, file = '', name = '']) => ({
    file,
    name: name.replaceAll(/\\(.)/g, '$1'),
  }));
}

/** What is wrong with the name of a test, or undefined when there is such a test. */
export function faultOf({ file, name }: NamedTest): string | undefined {
  const path = join(ROOT, 'test', file);
  if (!existsSync(path)) return `there is no test/${file}`;
  const titles = titlesIn(readFileSync(path, 'utf8'));
  if (titles.some((title) => isTitle(title, name, dirname(path)))) return undefined;
  return `test/${file} has no test called "${name}"`;
}

/** A title as the source writes it: the parts between its `${…}`. */
type Title = readonly string[];

const TITLE =
  /(?<=^|[\s;{(])(?:describe|test|it|t\.test)\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`([^`]*)`)/g;

function titlesIn(source: string): Title[] {
  return [...source.matchAll(TITLE)].map(([, single, double, template]) =>
    template === undefined ? [(single ?? double ?? '').replaceAll(/\\(.)/g, '$1')] : template.split(/\$\{[^}]*\}/),
  );
}

/** A row of a table-driven test counts when what stands in place of each `${…}` can be found beside the test. */
function isTitle(title: Title, name: string, folder: string): boolean {
  const pattern = title.map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&')).join('(.+)');
  const filled = new RegExp(`^${pattern}$`).exec(name)?.slice(1);
  return filled !== undefined && filled.every((value) => standsIn(folder, value));
}

function standsIn(folder: string, value: string): boolean {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (
      entry.isDirectory() ? readdirSync(join(folder, entry.name)).some((file) => file.startsWith(`${value}.`)) : false
    )
      return true;
    if (entry.isFile() && readFileSync(join(folder, entry.name), 'utf8').includes(value)) return true;
  }
  return false;
}
