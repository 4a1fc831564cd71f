import { lstatSync, readlinkSync } from 'node:fs';
import { dirname, isAbsolute, join, parse, sep } from 'node:path';

/** An entry of a folder; when it changes, another file may stand behind a path. */
export interface Place {
  readonly folder: string;
  readonly name: string;
}

/** As many links as Linux follows. */
const MAX_LINKS = 40;

/**
 * The entries that decide which file a path leads to: the file itself, and every symbolic link on the way. Kubernetes
 * changes a mounted ConfigMap or Secret by turning the link `..data` to another folder; the file's own entry stays.
 * @param file an absolute path; nothing needs to be there
 */
export function placesOf(file: string): Place[] {
  const places: Place[] = [];
  let links = 0;
  let folder = parse(file).root;
  let rest = file.slice(folder.length).split(sep);
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      folder = dirname(folder);
      continue;
    }
    const target = links < MAX_LINKS ? linkTarget(join(folder, name)) : undefined;
    if (target !== undefined || rest.length === 0) places.push({ folder, name });
    if (target === undefined) {
      folder = join(folder, name);
      continue;
    }
    links++;
    const { root } = parse(target);
    if (isAbsolute(target)) folder = root;
    rest = [...target.slice(root.length).split(sep), ...rest];
  }
  return places;
}

function linkTarget(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch {
    return undefined; // not there, or not ours to read: then there is nothing to follow
  }
}
