import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/**
 * What took most time itself, as lines of text, out of the profile of the main thread: by room, then by function.
 * @param skipMs leave out the beginning: start-up and code that is not compiled yet
 */
export function topOfProfile(folder: string, count: number, skipMs: number): string[] {
  const profiles = readdirSync(folder)
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile);
  const main = profiles.sort((a, b) => busyOf(b) - busyOf(a))[0];
  if (!main) return ['no profile was written'];
  const names = new Map(main.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const self = new Map<string, number>();
  let elapsed = 0;
  let busy = 0;
  for (const [i, id] of main.samples.entries()) {
    const microseconds = main.timeDeltas[i] as number;
    elapsed += microseconds;
    const name = names.get(id) as string;
    if (elapsed < skipMs * 1_000 || name === '(idle)') continue;
    busy += microseconds;
    self.set(name, (self.get(name) ?? 0) + microseconds);
  }
  const rooms = new Map<string, number>();
  for (const [name, microseconds] of self) rooms.set(roomOf(name), (rooms.get(roomOf(name)) ?? 0) + microseconds);
  const lines = (times: ReadonlyMap<string, number>) =>
    [...times]
      .sort(([, a], [, b]) => b - a)
      .slice(0, count)
      .map(([name, microseconds]) => `${((100 * microseconds) / busy).toFixed(1).padStart(5)} %  ${name}`);
  return [...lines(rooms), '', ...lines(self)];
}

/** The package, the folder of ours, or the part of Node that a function stands in. */
function roomOf(name: string): string {
  const where = name.split(' ').at(-1) as string;
  if (where.startsWith('src/')) return where.split('/').slice(0, 2).join('/').replace(/:.*/, '');
  if (where.startsWith('node_modules/'))
    return where
      .split('/')
      .slice(1, where.includes('/@') ? 3 : 2)
      .join('/');
  return where.startsWith('node:') ? where.replace(/:\d+$/, '').split('/').slice(0, 2).join('/') : name;
}

function busyOf({ nodes, samples }: CpuProfile): number {
  const idle = new Set(nodes.filter(({ callFrame }) => callFrame.functionName === '(idle)').map(({ id }) => id));
  return samples.filter((id) => !idle.has(id)).length;
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const where = url.replace(/^.*?\/(?=(?:src|node_modules)\/)/, '');
  return where === '' ? functionName : `${functionName || '(anonymous)'} ${where}:${lineNumber + 1}`;
}
