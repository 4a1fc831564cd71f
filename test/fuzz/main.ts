import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Finding, Target } from './target.ts';
import { TARGETS } from './targets.ts';

/** One line of progress per target and this many seconds. */
const SLICE_SECONDS = 10;
const FOLDER = 'fuzz-findings';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    only: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string' },
    path: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});

const chosen = TARGETS.filter(({ name }) => values.only.length === 0 || values.only.includes(name));
const listed = values.list || chosen.length === 0;
if (listed) for (const { name, holds } of TARGETS) console.log(`${name}: ${holds}`);

let at = '';
process.on('unhandledRejection', (error) => {
  console.error(`unhandled rejection while ${at}:`, error);
  throw error;
});

const totals = new Map<string, number>();
const findings: string[] = [];
const left = new Set(listed ? [] : chosen);
const secondsEach = (Number(values.minutes) * 60) / chosen.length;

for (let spent = 0; spent < secondsEach && left.size > 0; spent += SLICE_SECONDS) {
  const seconds = Math.min(SLICE_SECONDS, secondsEach - spent);
  for (const one of left) await slice(one, seconds * 1_000);
}
if (!listed) report();
process.exitCode = findings.length > 0 || (listed && !values.list) ? 1 : 0;

function report(): void {
  console.log('\ninputs tried');
  for (const [name, inputs] of totals) console.log(`${String(inputs).padStart(12)}  ${name}`);
  console.log(findings.length === 0 ? 'nothing found' : `found:\n${findings.join('\n')}`);
}

async function slice(one: Target, limitMs: number): Promise<void> {
  const seed = values.seed === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(values.seed);
  at = `fuzzing ${one.name} with --seed ${seed}`;
  const startedMs = performance.now();
  const path = values.path;
  const { inputs, finding } = await one.run({
    seed,
    timed: true,
    limitMs,
    ...(path === undefined ? {} : { path }),
  });
  totals.set(one.name, (totals.get(one.name) ?? 0) + inputs);
  const rate = Math.round(inputs / ((performance.now() - startedMs) / 1_000));
  console.log(`${one.name}: ${inputs} inputs, ${rate}/s, seed ${seed}${finding ? ', FOUND SOMETHING' : ''}`);
  if (!finding) return;
  left.delete(one);
  findings.push(`${one.name}: ${saved(one.name, finding)}`);
}

/** Prints a finding, and keeps it in a file. @returns the file */
function saved(name: string, { seed, path, input, error }: Finding): string {
  const again = `npm run fuzz -- --only ${name} --seed ${seed} --path ${path}`;
  const shown = input.length > 2_000 ? `${input.slice(0, 2_000)}… (${input.length} characters)` : input;
  console.log(`${error}\ninput: ${shown}\nagain: ${again}\n`);
  mkdirSync(FOLDER, { recursive: true });
  const file = join(FOLDER, `${name}-${seed}.txt`);
  writeFileSync(file, `${again}\n\n${input}\n\n${error}\n`);
  return file;
}
