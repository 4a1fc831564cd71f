// npm run bench [-- options]: measures this service beside its peers behind a real Envoy (docs/performance.md).
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { envoyBinary } from '../test/support/stack.ts';
import { Measuring, type Sample } from './measure.ts';
import { plot } from './plot.ts';
import { topOfProfile } from './profile.ts';
import { markdown, ratio, summarise } from './report.ts';
import { startSite } from './site.ts';
import { writeTokens } from './tokens.ts';
import { allVariants, GO, HIT, type Service, type Variant } from './variants.ts';

const ROOT = resolve(import.meta.dirname, '..');
const CONNECTIONS = 32;
const PER_SECOND = 1_000;
const GRANTS = 1_000;
/** More than the caches of the service and of the Go peer hold. */
const DISTINCT_TOKENS = 26_000;
const WARM_UP_SECONDS = 2;
/** Start-up and warming up, on a slow machine. */
const PROFILE_SKIP_MS = 5_000;
/** Above this the guard fails. The target is 1.4; a machine that does other work at the same time needs room. */
const GUARD_LIMIT = 2.5;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    guard: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    'cpu-only': { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string' },
    against: { type: 'string' },
    tokens: { type: 'string' },
  },
});

const say = (line: string) => void process.stderr.write(`${line}\n`);

function chosenVariants(hasGo: boolean): Variant[] {
  const { only, quick, guard } = options;
  return allVariants(options.against !== undefined).filter(
    (variant) =>
      (hasGo || !variant.listener.startsWith('go')) &&
      (only === undefined || new RegExp(only).test(variant.name)) &&
      (!quick || variant.quick) &&
      (!guard || variant.guard),
  );
}

async function run(): Promise<number> {
  const wrk = process.env['WRK_BIN'];
  if (!wrk) throw new Error('WRK_BIN is not set: run `npm run bench`, which finds wrk');
  const goPeer = process.env['GO_PEER_BIN'];
  const variants = chosenVariants(goPeer !== undefined);
  if (variants.length === 0) throw new Error('no variant has such a name');
  const short = options.quick || options.profile;
  const rounds = Number(options.rounds ?? (short ? 1 : 3));
  const seconds = Number(options.seconds ?? (options.quick ? 2 : 3));
  const perSecond = options.guard || short || options['cpu-only'] ? undefined : PER_SECOND;

  const services = new Map<Service, string>([['ours', ROOT]]);
  if (options.against !== undefined) services.set('other', resolve(options.against));
  const profileTo = options.profile ? mkdtempSync(join(tmpdir(), 'emi-profile-')) : undefined;
  const site = await startSite({ services, goPeer, grants: GRANTS, ...(profileTo ? { profileTo } : {}) });
  const samples: Sample[] = [];
  try {
    const tokens = { one: join(site.folder, 'one-token'), many: join(site.folder, 'many-tokens') };
    await writeTokens(tokens.one, site.issuer, 1);
    if (variants.some((variant) => variant.distinctTokens)) {
      const count = Number(options.tokens ?? DISTINCT_TOKENS);
      say(`signing ${count} tokens ...`);
      await writeTokens(tokens.many, site.issuer, count);
    }
    const measuring = new Measuring(site, { wrk, seconds, connections: CONNECTIONS, perSecond }, tokens);
    for (const variant of variants) {
      say(`warming up: ${variant.name}`);
      await measuring.warmUp(variant, WARM_UP_SECONDS);
    }
    for (let round = 1; round <= rounds; round++) {
      // Another order each round, so that nobody always comes after the same neighbour.
      const order = round % 2 === 0 ? variants.toReversed() : variants;
      for (const variant of order) {
        const sample = await measuring.measure(variant, round);
        samples.push(sample);
        say(
          `round ${round}/${rounds}  ${variant.name.padEnd(34)} ${sample.serviceCpu.toFixed(2)} s/10k, ` +
            `${sample.requestsPerSecond.toFixed(0)}/s, foreign CPU ${(sample.foreign * 100).toFixed(0)} %`,
        );
      }
    }
    if (variants.some((variant) => variant.distinctTokens)) say(hitRate(await site.metrics('ours')));
  } finally {
    await site.stop();
  }
  if (profileTo) {
    console.log(topOfProfile(profileTo, 45, PROFILE_SKIP_MS).join('\n'));
    rmSync(profileTo, { recursive: true });
  }
  write(samples, variants);
  return options.guard ? judge(samples) : 0;
}

function hitRate(metrics: string): string {
  const of = (name: string) => Number(new RegExp(`^${name}\\{.*\\} (\\d+)`, 'm').exec(metrics)?.[1] ?? 0);
  return `token cache of our service: ${of('mcp_identity_token_cache_hits_total')} hits, ${of('mcp_identity_token_cache_misses_total')} misses`;
}

/** JSON, Markdown and SVG into `bench/results`, the table to stdout too. */
function write(samples: readonly Sample[], variants: readonly Variant[]): void {
  const place = new Map(variants.map((variant, i) => [variant.name, i]));
  const rows = summarise(
    samples.toSorted((a, b) => (place.get(a.variant) as number) - (place.get(b.variant) as number)),
  );
  const time = new Date().toISOString();
  const [cpu] = cpus();
  const setting = {
    time,
    node: process.versions.node,
    envoy:
      /\/(\d+\.\d+\.\d+)\//.exec(execFileSync(envoyBinary(), ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
    cpu: `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}`,
    connections: CONNECTIONS,
    rounds: Math.max(...samples.map((sample) => sample.round)),
  };
  const title = `${time.slice(0, 10)}, Node ${setting.node}, Envoy ${setting.envoy}, ${setting.cpu}, ${CONNECTIONS} connections, ${setting.rounds} rounds`;
  const folder = join(ROOT, 'bench', 'results');
  mkdirSync(folder, { recursive: true });
  const base = join(folder, time.replaceAll(':', '-').slice(0, 19));
  const table = `${title}; median (min–max).\n\n${markdown(rows)}\n`;
  writeFileSync(`${base}.json`, JSON.stringify({ setting, rows, samples }, null, 1));
  writeFileSync(`${base}.md`, table);
  writeFileSync(`${base}.svg`, plot(rows, title));
  console.log(`\n${table}\n${base}.{json,md,svg}`);
}

/** @returns exit code */
function judge(samples: readonly Sample[]): number {
  const found = ratio(samples, HIT, GO);
  if (!found) {
    say('guard: the Go peer is missing, nothing can be compared');
    return 1;
  }
  const good = found.median <= GUARD_LIMIT;
  say(
    `guard: a cached hit costs ${found.median.toFixed(2)} × Go that verifies each time; the limit is ${GUARD_LIMIT}: ${good ? 'good' : 'TOO DEAR'}`,
  );
  return good ? 0 : 1;
}

process.exitCode = await run();
