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
 * The functions that took most time themselves, as lines of text, out of the profile of the main thread.
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
  return [...self]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([name, microseconds]) => `${((100 * microseconds) / busy).toFixed(1).padStart(5)} %  ${name}`);
}

function busyOf({ nodes, samples }: CpuProfile): number {
  const idle = new Set(nodes.filter(({ callFrame }) => callFrame.functionName === '(idle)').map(({ id }) => id));
  return samples.filter((id) => !idle.has(id)).length;
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const where = url.replace(/^.*\/(?=src\/|node_modules\/)/, '');
  return where === '' ? functionName : `${functionName || '(anonymous)'} ${where}:${lineNumber + 1}`;
}
