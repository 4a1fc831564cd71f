import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';
import { openVault } from '../src/upstream/vault/open.ts';
import { Child } from '../test/support/child.ts';
import { DURABLE, startRedis } from '../test/support/redis.ts';
import { type TestKey, testTools, vaultConfig } from '../test/support/vault-tools.ts';
import { cpuOfSelf, memoryOf, peakMemoryOf } from './cpu.ts';
import { Measuring } from './measure.ts';
import { startSite } from './site.ts';
import { makeTokens, writeTokens } from './tokens.ts';
import { allVariants, PROVIDER } from './variants.ts';

export interface GrantsOptions {
  readonly checkout: string;
  readonly wrk: string;
  /** Numbers of grants, smallest first. */
  readonly counts: readonly number[];
  readonly say: (line: string) => void;
}

type Kind = 'sqlite' | 'redis';

interface Row {
  readonly kind: Kind;
  readonly count: number;
  readonly seedSeconds: number;
  readonly storeMiB: number;
  readonly startSeconds: number;
  /** Microseconds: time per lookup one after the other, and CPU of this side. */
  readonly lookup: { readonly time: number; readonly cpu: number };
  /** CPU seconds of the service for 10,000 calls of the same 1,000 users. */
  readonly callCpu: number;
  readonly serviceMiB: number;
  readonly list: { readonly seconds: number; readonly lines: number; readonly peakMiB: number };
}

const CALLERS = 1_000;
const LOOKUPS = 5_000;
const ROUNDS = 3;

/** How the vaults behave as they fill. @returns a Markdown report */
export async function measureGrants(options: GrantsOptions): Promise<string> {
  const rows: Row[] = [];
  for (const kind of ['sqlite', 'redis'] as const) {
    for (const count of options.counts) rows.push(await measureVault(kind, count, options));
  }
  return report(rows);
}

async function measureVault(kind: Kind, count: number, { checkout, wrk, say }: GrantsOptions): Promise<Row> {
  const folder = mkdtempSync(join(tmpdir(), 'emi-grants-'));
  const redis = kind === 'redis' ? await startRedis({ settings: DURABLE_ENOUGH }) : undefined;
  const store = redis ? redis.url : `sqlite:${join(folder, 'vault.db')}`;
  let [seedStart, seedEnd, lastTold] = [0, 0, 0];
  say(`${kind}: ${count} grants ...`);
  try {
    const tell = (done: number): void => {
      seedStart ||= performance.now();
      seedEnd = performance.now();
      if (seedEnd - lastTold < 5_000) return;
      lastTold = seedEnd;
      say(`  ${done} stored`);
    };
    const site = await startSite({
      services: new Map([['ours', checkout]]),
      listeners: new Set(['ours_authz']),
      peers: new Map(),
      maxBodyMiB: 4,
      store,
      grants: { count, tell },
    });
    try {
      say('  lookups ...');
      const lookup = await timeLookups(store, site.key, site.issuer.issuer, count);
      say('  calls ...');
      const callers = Math.min(CALLERS, count);
      const file = writeTokens(join(folder, 'tokens'), await makeTokens(site.issuer, callers));
      const variant = allVariants(false).find(({ name }) => name === 'ours: upstream_inject, hit');
      if (!variant) throw new Error('the variant is gone');
      const all = { ...variant, tokens: callers };
      const tokens = new Map([
        [1, file],
        [callers, file],
      ]);
      const measuring = new Measuring(site, { wrk, seconds: 4, connections: 32, perSecond: undefined }, tokens);
      await measuring.warmUp(all);
      const samples = [];
      for (let round = 0; round < ROUNDS; round++) samples.push(await measuring.measure(all, round));
      const [service] = site.decidersOf('ours_authz');
      say('  grants list ...');
      const list = await timeList(checkout, site.configOf('ours'));
      return {
        kind,
        count,
        seedSeconds: (seedEnd - seedStart) / 1_000,
        storeMiB: redis ? await redisMiB(redis.url) : sqliteMiB(folder),
        startSeconds: site.startSeconds,
        lookup,
        callCpu: samples.map(({ serviceCpu }) => serviceCpu).toSorted((a, b) => a - b)[ROUNDS >> 1] as number,
        serviceMiB: memoryOf(service?.process.pid as number),
        list,
      };
    } finally {
      await site.stop();
    }
  } finally {
    await redis?.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An append-only file as recommended, synced each second: a million times `always` would only measure the disk. */
const DURABLE_ENOUGH = { ...DURABLE, appendfsync: 'everysec' };

async function timeLookups(store: string, key: TestKey, issuer: string, count: number) {
  const vault = await openVault(vaultConfig(store, [key]), testTools());
  try {
    const look = async (times: number) => {
      for (let i = 0; i < times; i++) {
        const user = Math.floor(Math.random() * count);
        const grant = await vault.read({ issuer, subject: `user-${user}`, provider: PROVIDER });
        if (!grant) throw new Error(`user-${user} has no grant`);
      }
    };
    await look(500);
    const [start, cpu] = [performance.now(), cpuOfSelf()];
    await look(LOOKUPS);
    return {
      time: ((performance.now() - start) * 1_000) / LOOKUPS,
      cpu: ((cpuOfSelf() - cpu) * 1_000_000) / LOOKUPS,
    };
  } finally {
    await vault.close();
  }
}

async function timeList(checkout: string, config: string): Promise<Row['list']> {
  const start = performance.now();
  const main = join(checkout, 'dist', 'main.js');
  const child = new Child('grants list', process.execPath, [main, 'grants', 'list', '--json', '--config', config]);
  let lines = 0;
  // The output of a million grants is not kept.
  child.process.stdout?.removeAllListeners('data').on('data', (text: string) => {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++;
  });
  let peakMiB = 0;
  const watch = setInterval(() => {
    peakMiB = peakMemoryOf(child.process.pid as number) ?? peakMiB;
  }, 100);
  const code = await child.exited;
  clearInterval(watch);
  if (code !== 0) throw new Error(`grants list ended with ${code}: ${child.stderr.slice(-2_000)}`);
  return { seconds: (performance.now() - start) / 1_000, lines, peakMiB };
}

function sqliteMiB(folder: string): number {
  const files = readdirSync(folder).filter((name) => name.startsWith('vault.db'));
  return files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0) / 1_048_576;
}

async function redisMiB(url: string): Promise<number> {
  const client = await createClient({ url }).connect();
  try {
    return Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1]) / 1_048_576;
  } finally {
    client.destroy();
  }
}

function report(rows: readonly Row[]): string {
  const titles = [
    'store',
    'grants',
    'stored in s',
    'size MiB',
    'service starts in s',
    'lookup µs',
    'its CPU µs',
    'service CPU s/10k calls',
    '× the fewest',
    'service RSS MiB',
    '`grants list` s',
    'its peak MiB',
  ];
  const cells = rows.map((row) => {
    const fewest = rows.find(({ kind }) => kind === row.kind) as Row;
    if (row.list.lines !== row.count) throw new Error(`grants list printed ${row.list.lines} lines of ${row.count}`);
    return [
      row.kind,
      row.count.toLocaleString('en-GB'),
      row.seedSeconds.toFixed(1),
      row.storeMiB.toFixed(0),
      row.startSeconds.toFixed(1),
      row.lookup.time.toFixed(0),
      row.lookup.cpu.toFixed(0),
      row.callCpu.toFixed(2),
      (row.callCpu / fewest.callCpu).toFixed(2),
      row.serviceMiB.toFixed(0),
      row.list.seconds.toFixed(1),
      row.list.peakMiB.toFixed(0),
    ];
  });
  const line = (of: readonly string[]) => `| ${of.join(' | ')} |`;
  return [line(titles), line(titles.map((_, i) => (i === 0 ? '---' : '---:'))), ...cells.map(line)].join('\n');
}
