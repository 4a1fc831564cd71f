import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

const NOT_OURS = new Set(['node_modules', '.git', 'dist', 'coverage']);

/** Every Markdown file of the repository, as path → text. */
export function readPages(): ReadonlyMap<string, string> {
  return new Map([...markdownIn('')].sort().map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]));
}

function* markdownIn(folder: string): Iterable<string> {
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory() && !NOT_OURS.has(entry.name)) yield* markdownIn(path);
    else if (entry.isFile() && entry.name.endsWith('.md')) yield path;
  }
}
