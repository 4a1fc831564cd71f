import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonSchemaOf } from '../../src/cli/schema.ts';
import { commandSections } from './cli.ts';
import { metricsInSource, metricTable } from './metrics.ts';
import { connectTable, refusalTable } from './refusal-tables.ts';
import { fillRegions, type Generator } from './regions.ts';
import { keyTable, schemaAt } from './schema-table.ts';
import { validationSections } from './validation.ts';

const ROOT = join(import.meta.dirname, '../..');
const FOLDER = 'docs/reference';
const PAGES = ['config.md', 'route.md', 'refusals.md', 'validation.md', 'metrics.md', 'cli.md'];

/** What stands in regions of the reference pages, by the first word of their marker. */
const GENERATORS: Readonly<Record<string, Generator>> = {
  // config|route, the way to a block, and after `without` the keys that have a section of their own
  keys: ([document = '', ...args]) => {
    const at = args.indexOf('without');
    const [path, without] = at === -1 ? [args, []] : [args.slice(0, at), args.slice(at + 1)];
    const root = jsonSchemaOf(document === 'route' ? 'route' : 'config');
    return keyTable(schemaAt(root, path), new Set(without));
  },
  refusals: () => refusalTable(),
  'connect-refusals': () => connectTable(),
  codes: () => validationSections(),
  metrics: () => metricTable(metricsInSource(join(ROOT, 'src'))),
  commands: () => commandSections(join(ROOT, 'src/main.ts')),
};

export interface Page {
  readonly path: string;
  readonly now: string;
  readonly wanted: string;
}

/** The reference pages as they are, and as they should be. */
export function referencePages(): Promise<Page[]> {
  return Promise.all(
    PAGES.map(async (name) => {
      const path = join(ROOT, FOLDER, name);
      const now = await readFile(path, 'utf8');
      return { path, now, wanted: await fillRegions(now, GENERATORS) };
    }),
  );
}
