// npm run bench [-- options]: measures this service beside its peers behind a real Envoy (docs/performance.md).
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { envoyBinary } from '../test/support/stack.ts';
import { measureGrants } from './grants.ts';
import { Measuring, type Sample, type TokenFiles } from './measure.ts';
import { plot } from './plot.ts';
import { topOfProfile } from './profile.ts';
import { markdown, ratio, summarise } from './report.ts';
import { type Site, startSite } from './site.ts';
import { measureStorm } from './storm.ts';
import { makeTokens, writeTokens } from './tokens.ts';
import { allVariants, GO, HIT, type Peer, type Service, type Table, TABLES, type Variant } from './variants.ts';

const ROOT = resolve(import.meta.dirname, '..');
const CONNECTIONS = 32;
const PER_SECOND = 1_000;
const GRANTS = 1_000;
/** More than one run sends to the variant whose tokens never come twice. */
const FRESH_TOKENS = 60_000;
const MAX_BODY_MIB = 12;
const STORM_USERS = 10_000;
const GRANT_COUNTS = [1, 1_000, 1_000_000];
/** Start-up and warming up, on a slow machine. */
const PROFILE_SKIP_MS = 5_000;
/** Above this the guard fails. The target is 1.4; a machine that does other work at the same time needs room. */
const GUARD_LIMIT = 2.5;

const HELP = `npm run bench [-- what] [-- options]

  services   this service beside its peers (default)
  scale      1 to 100,000 live tokens, 1 to 10,000 routes, two processes
  bodies     bodies of 1 KiB to 10 MiB
  storm      10,000 upstream tokens expire within one minute of steady load
  grants     1 to 1,000,000 grants in SQLite and Redis

  --quick, --guard, --profile, --cpu-only, --rounds N, --seconds N, --only REGEX,
  --against FOLDER, --tokens N, --grants N (the largest number of grants)

docs/performance.md says what each of them does.
`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    grants: { type: 'string' },
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

function chosenVariants(table: Table, peers: ReadonlyMap<Peer, unknown>): Variant[] {
  const { only, quick, guard } = options;
  return allVariants(options.against !== undefined).filter(
    (variant) =>
      variant.table === table &&
      (!isPeer(variant.listener) || peers.has(variant.listener)) &&
      (only === undefined || new RegExp(only).test(variant.name)) &&
      (!quick || variant.quick) &&
      (!guard || variant.guard),
  );
}

const PEERS: readonly Peer[] = ['go', 'go_cache', 'opa', 'node'];
const isPeer = (listener: string): listener is Peer => (PEERS as readonly string[]).includes(listener);

/** What starts each peer; those in Go are there if Go is. */
function findPeers(): Map<Peer, readonly string[]> {
  const [go, opa] = [process.env['GO_PEER_BIN'], process.env['OPA_PEER_BIN']];
  const node = [process.execPath, join(import.meta.dirname, 'peers', 'node', 'main.ts')];
  return new Map<Peer, readonly string[]>([
    ...(go
      ? ([
          ['go', [go]],
          ['go_cache', [go, '--cache']],
        ] as const)
      : []),
    ...(opa ? ([['opa', [opa]]] as const) : []),
    ['node', node],
  ]);
}

/** Files with as many tokens as the variants ask for. */
async function tokensFor(site: Site, variants: readonly Variant[]): Promise<TokenFiles> {
  const numbers = new Set([1, ...variants.map(({ tokens }) => tokens ?? 1)]);
  const largest = Math.max(...[...numbers].filter((count) => typeof count === 'number'));
  const fresh = numbers.has('fresh') ? Number(options.tokens ?? FRESH_TOKENS) : 0;
  if (largest + fresh > 1) say(`signing ${largest + fresh} tokens ...`);
  const all = await makeTokens(site.issuer, largest + fresh);
  const of = (count: number | 'fresh') => (count === 'fresh' ? all.slice(largest) : all.slice(0, count));
  return new Map([...numbers].map((count) => [count, writeTokens(join(site.folder, `tokens-${count}`), of(count))]));
}

async function run(): Promise<number> {
  const [what = 'services', ...more] = positionals;
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const wrk = process.env['WRK_BIN'];
  if (!wrk) throw new Error('WRK_BIN is not set: run `npm run bench`, which finds wrk');
  for (const checkout of [ROOT, ...(options.against === undefined ? [] : [resolve(options.against)])]) build(checkout);
  if (what === 'storm') {
    console.log(await measureStorm({ checkout: ROOT, wrk, users: STORM_USERS, perSecond: PER_SECOND, say }));
    return 0;
  }
  if (what === 'grants') {
    const most = Number(options.grants ?? GRANT_COUNTS.at(-1));
    const counts = [...GRANT_COUNTS.filter((count) => count < most), most];
    console.log(await measureGrants({ checkout: ROOT, wrk, counts, say }));
    return 0;
  }
  if (!(TABLES as readonly string[]).includes(what) || more.length > 0) {
    process.stderr.write(HELP);
    return 2;
  }
  return measureTable(what as Table, wrk);
}

/** What is measured is what is shipped. */
function build(checkout: string): void {
  say(`building ${checkout} ...`);
  const tsc = join(checkout, 'node_modules', 'typescript', 'bin', 'tsc');
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: checkout, stdio: 'inherit' });
}

async function measureTable(table: Table, wrk: string): Promise<number> {
  const peers = findPeers();
  const variants = chosenVariants(table, peers);
  if (variants.length === 0) throw new Error('no variant has such a name');
  const short = options.quick || options.profile;
  const rounds = Number(options.rounds ?? (short ? 1 : 3));
  const seconds = Number(options.seconds ?? (options.quick ? 2 : 3));
  const perSecond = options.guard || short || options['cpu-only'] || table === 'bodies' ? undefined : PER_SECOND;

  const services = new Map<Service, string>([['ours', ROOT]]);
  if (options.against !== undefined) services.set('other', resolve(options.against));
  const profileTo = options.profile ? mkdtempSync(join(tmpdir(), 'emi-profile-')) : undefined;
  const listeners = new Set(variants.map(({ listener }) => listener));
  const site = await startSite({
    services,
    listeners,
    peers: new Map([...peers].filter(([name]) => listeners.has(name))),
    maxBodyMiB: table === 'bodies' ? MAX_BODY_MIB : 4,
    grants: { count: table === 'scale' ? 10 * GRANTS : GRANTS },
    ...(profileTo ? { profileTo } : {}),
  });
  const samples: Sample[] = [];
  try {
    const tokens = await tokensFor(site, variants);
    const measuring = new Measuring(site, { wrk, seconds, connections: CONNECTIONS, perSecond }, tokens);
    for (const variant of variants) {
      say(`warming up: ${variant.name}`);
      await measuring.warmUp(variant);
    }
    for (let round = 1; round <= rounds; round++) {
      // Another order each round, so that nobody always comes after the same neighbour.
      const order = round % 2 === 0 ? variants.toReversed() : variants;
      for (const variant of order) {
        const sample = await measuring.measure(variant, round);
        samples.push(sample);
        say(
          `round ${round}/${rounds}  ${variant.name.padEnd(42)} ${sample.serviceCpu.toFixed(2)} s/10k, ` +
            `${sample.requestsPerSecond.toFixed(0)}/s, foreign CPU ${(sample.foreign * 100).toFixed(0)} %`,
        );
      }
    }
    if (variants.some((variant) => variant.tokens !== undefined)) say(hitRate(await site.metrics('ours')));
  } finally {
    await site.stop();
  }
  if (profileTo) {
    console.log(topOfProfile(profileTo, 45, PROFILE_SKIP_MS).join('\n'));
    rmSync(profileTo, { recursive: true });
  }
  write(table, samples, variants);
  return options.guard ? judge(samples) : 0;
}

function hitRate(metrics: string): string {
  const of = (name: string) => Number(new RegExp(`^${name}\\{.*\\} (\\d+)`, 'm').exec(metrics)?.[1] ?? 0);
  return `token cache of our service: ${of('mcp_identity_token_cache_hits_total')} hits, ${of('mcp_identity_token_cache_misses_total')} misses`;
}

/** JSON, Markdown and SVG into `bench/results`, the table to stdout too. */
function write(table: Table, samples: readonly Sample[], variants: readonly Variant[]): void {
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
  const base = join(folder, `${table}-${time.replaceAll(':', '-').slice(0, 19)}`);
  const text = `${title}; median (min–max).\n\n${markdown(rows)}\n`;
  writeFileSync(`${base}.json`, JSON.stringify({ setting, samples }, null, 1));
  writeFileSync(`${base}.md`, text);
  writeFileSync(`${base}.svg`, plot(rows, title));
  console.log(`\n${text}\n${base}.{json,md,svg}`);
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
