import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../test/support/child.ts';
import { send } from '../test/support/http.ts';
import { memoryOf } from './cpu.ts';
import type { Seen } from './load.ts';
import { Measuring } from './measure.ts';
import { startSite } from './site.ts';
import { makeTokens, writeTokens } from './tokens.ts';
import { allVariants } from './variants.ts';

export interface StormOptions {
  readonly checkout: string;
  readonly wrk: string;
  readonly users: number;
  readonly perSecond: number;
  readonly say: (line: string) => void;
}

/** From seeding until the first token is to be refreshed, in seconds: start, warming up and a quiet phase fit in. */
const LEAD_SECONDS = 110;
/** All tokens expire within this time, evenly. */
const SPREAD_SECONDS = 60;
/** As configured in site.ts. */
const REFRESH_BEFORE_SECONDS = 15;
const QUIET_SECONDS = 30;

/**
 * Every user's upstream token expires within the same minute while calls come at a steady rate. Latencies of that time are
 * compared with those before and after.
 * @returns a Markdown report
 */
export async function measureStorm({ checkout, wrk, users, perSecond, say }: StormOptions): Promise<string> {
  const provider = new Child('provider', process.execPath, [join(import.meta.dirname, 'peers', 'provider.ts')]);
  const folder = mkdtempSync(join(tmpdir(), 'emi-storm-'));
  const variant = allVariants(false).find(({ name }) => name === 'ours: upstream_inject, hit');
  if (!variant) throw new Error('the variant is gone');
  try {
    const origin = await provider.until(() => /^http:\S+/.exec(provider.stdout)?.[0]);
    const startMs = Date.now();
    const dueMs = (i: number) => startMs + LEAD_SECONDS * 1_000 + (i / users) * SPREAD_SECONDS * 1_000;
    const site = await startSite({
      services: new Map([['ours', checkout]]),
      listeners: new Set(['ours_authz']),
      peers: new Map(),
      maxBodyMiB: 4,
      grants: { count: users, expiresAtMs: (i) => dueMs(i) + REFRESH_BEFORE_SECONDS * 1_000 },
      tokenEndpoint: `${origin}/token`,
    });
    try {
      say(`signing ${users} tokens ...`);
      const file = writeTokens(join(folder, 'tokens'), await makeTokens(site.issuer, users));
      const tokens = new Map([
        [1, file],
        [users, file],
      ]);
      const all = { ...variant, tokens: users };
      const measuring = new Measuring(site, { wrk, seconds: QUIET_SECONDS, connections: 32, perSecond }, tokens);
      say('every user calls once ...');
      await measuring.warmUp(all);
      const leftSeconds = Math.floor((dueMs(0) - Date.now()) / 1_000) - 2;
      if (leftSeconds < 10)
        throw new Error(`the machine is too slow: ${leftSeconds} s are left before the first refresh`);
      say(`quiet, ${leftSeconds} s ...`);
      const before = await measuring.paced(all, leftSeconds);
      say(`storm, ${SPREAD_SECONDS + REFRESH_BEFORE_SECONDS} s ...`);
      const storm = await measuring.paced(all, SPREAD_SECONDS + REFRESH_BEFORE_SECONDS + 5);
      const counts = JSON.parse((await send(`${origin}/counts`)).body) as { refreshed: number; reused: number };
      say(`quiet again, ${QUIET_SECONDS} s ...`);
      const after = await measuring.paced(all, QUIET_SECONDS);
      const [service] = site.decidersOf('ours_authz');
      return report({ before, storm, after }, counts, users, memoryOf(service?.process.pid as number));
    } finally {
      await site.stop();
    }
  } finally {
    await provider.stop();
    if (existsSync(folder)) rmSync(folder, { recursive: true });
  }
}

function report(
  phases: Readonly<Record<'before' | 'storm' | 'after', Seen>>,
  counts: { readonly refreshed: number; readonly reused: number },
  users: number,
  mib: number,
): string {
  const rows = Object.entries(phases).map(
    ([name, seen]) =>
      `| ${name} | ${seen.requests} | ${(seen.requests / seen.seconds).toFixed(0)} | ${seen.p50.toFixed(2)} | ` +
      `${seen.p95.toFixed(2)} | ${seen.p99.toFixed(2)} | ${seen.failed + seen.refused} |`,
  );
  const quiet = (phases.before.p99 + phases.after.p99) / 2;
  return [
    `| phase | calls | calls/s | p50 ms | p95 ms | p99 ms | failed |`,
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...rows,
    '',
    `${users} users, ${counts.refreshed} refreshes, ${counts.reused} refresh tokens used twice; ` +
      `p99 in the storm ${(phases.storm.p99 / quiet).toFixed(2)} × the mean of before and after; RSS ${mib.toFixed(0)} MiB.`,
  ].join('\n');
}
