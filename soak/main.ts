// npm run soak [-- --minutes N --users N --seed S]: mixed traffic while one thing after the other fails (docs/operations/soak.md).
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { accounts, records } from './aftermath.ts';
import { CheckingBackend } from './backend.ts';
import { chaos, type Scene } from './chaos.ts';
import { Client } from './client.ts';
import { growth } from './flat.ts';
import { Ledger } from './ledger.ts';
import { Outages } from './outages.ts';
import { People } from './people.ts';
import { Random } from './random.ts';
import { faultsOf, type Report, text } from './report.ts';
import { configFile, type Site, startSite } from './site.ts';
import { Traffic } from './traffic.ts';
import { Watch } from './watch.ts';

const RESULTS = resolve(import.meta.dirname, 'results');
const BOTS = 50;
/** One in so many users has connected an account. */
const CONNECTED_SHARE = 5;
const STREAM_PAUSE_MS = 600;
const PROGRESS_MS = 5_000;
const QUIET_START_MS = 5_000;
/** A refresh may have reached the store so long after the provider answered it. */
const UNSTORED_MS = 2_000;

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    users: { type: 'string', default: '5000' },
    seed: { type: 'string', default: '1' },
    rate: { type: 'string', default: '100' },
    /** Disasters with such names only. */
    only: { type: 'string', default: '' },
    /** Seconds for which the provider takes the last refresh token again. */
    grace: { type: 'string', default: '600' },
  },
});

const say = (line: string) => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);

async function run(): Promise<number> {
  const [minutes, users, seed, rate, graceSeconds] = [
    options.minutes,
    options.users,
    options.seed,
    options.rate,
    options.grace,
  ].map(Number) as [number, number, number, number, number];
  const cast = { users, connected: Math.ceil(users / CONNECTED_SHARE), bots: BOTS };
  say(`starting: ${users} users, ${cast.connected} with an account, seed ${seed} ...`);
  const site = await startSite(cast);
  const outages = new Outages();
  const ledger = new Ledger(outages);
  const people = new People(site.issuer, site.stranger);
  const client = new Client(site.stack.origin);
  const scene: Scene = {
    site,
    people,
    outages,
    random: new Random(seed + 1),
    say,
    envoy: { child: site.stack.envoy, epoch: 0 },
    former: [],
    kills: [],
    retired: undefined,
  };
  const watch = new Watch(watched(site, scene), outages);
  const over = new AbortController();
  const interrupt = () => over.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  let progress: NodeJS.Timeout | undefined;
  try {
    await people.signIn(users);
    let forgiven = 0;
    site.provider.forgives = ({ user, rotatedMs }) => {
      const isLost = scene.kills.some((killMs) => rotatedMs > killMs - UNSTORED_MS && rotatedMs < killMs + UNSTORED_MS);
      if (!isLost) return false;
      if (Date.now() - rotatedMs > graceSeconds * 1_000) {
        ledger.forgone.add(user);
        return false;
      }
      forgiven++;
      return true;
    };
    const backend = new CheckingBackend({ ledger, ...site, streamPauseMs: STREAM_PAUSE_MS });
    site.stack.backend.respond = (seen, response) => {
      site.stack.backend.seen.length = 0;
      backend.respond(seen, response);
    };
    const traffic = new Traffic({ ledger, client, people, cast, seed });
    const startMs = Date.now();
    const untilMs = startMs + minutes * 60_000;
    watch.start();
    traffic.start(rate);
    progress = setInterval(() => {
      ledger.sweep();
      for (const list of [site.provider.requests, site.exchange.exchanges]) (list as unknown[]).length = 0;
      const { calls, allowed, denied, outage, grace, outside } = ledger.total();
      const refreshed = `${site.provider.refreshes.length} refreshes`;
      say(
        `${((Date.now() - startMs) / 1_000).toFixed(0)} s: ${calls} calls, ${allowed} allowed, ${denied} denied, ` +
          `${outage}+${grace} unavailable, ${outside} outside, ${ledger.findingCount} findings, ${traffic.underWay} under way, ${refreshed}`,
      );
    }, PROGRESS_MS);
    await new Promise((done) => setTimeout(done, QUIET_START_MS));
    const happened = await chaos(scene, new RegExp(options.only), untilMs, over.signal).catch((error: unknown) => {
      ledger.wrong('a disaster went further than planned', '-', String(error));
      over.abort();
      return [];
    });
    while (Date.now() < untilMs && !over.signal.aborted) await new Promise((done) => setTimeout(done, 100));
    await traffic.stop();
    const seconds = (Date.now() - startMs) / 1_000;
    say('every connected user calls once more ...');
    const atEnd = await accounts(site, traffic, traffic.requests, cast.connected, ledger.forgone);
    await watch.sample();
    const read = await records(site, ledger, [...site.stack.services, ...scene.former, scene.envoy.child]);
    const stalls = outages.all.filter(({ name }) => name === 'the machine stood still').length;
    const found = {
      setting: {
        date: new Date().toISOString().slice(0, 10),
        minutes,
        users,
        seed,
        'calls/s': rate,
        'provider grace s': graceSeconds,
        node: process.versions.node,
        cpus: cpus().length,
      },
      seconds,
      counts: ledger.counts,
      total: ledger.total(),
      latencyMs: percentiles(ledger.latencies),
      findingCount: ledger.findingCount,
      findings: ledger.findings,
      happened,
      excused: Object.fromEntries(ledger.excused),
      stalls: { count: stalls, longestMs: watch.longestStallMs },
      load: { reconnects: client.reconnects, leftOut: traffic.leftOut },
      refreshes: {
        total: site.provider.refreshes.length,
        double: site.provider.reused - ledger.forgone.size,
        forgiven,
        unavoidable: ledger.forgone.size,
      },
      accounts: atEnd,
      records: read,
      growth: growth(watch.samples),
      samples: watch.samples,
    };
    const report = { ...found, faults: faultsOf(found) };
    write(report);
    return report.faults.length === 0 ? 0 : 1;
  } finally {
    clearInterval(progress);
    watch.stop();
    client.close();
    await scene.envoy.child.stop('SIGTERM');
    await site.stop();
  }
}

function watched(site: Site, scene: Scene) {
  const replica = (index: number) => {
    const { server } = JSON.parse(readFileSync(configFile(site, index), 'utf8')) as { server: { admin: string } };
    const pid = () => alive(site.stack.services[index]?.process);
    return { name: `replica ${index}`, pid, metricsUrl: `http://${server.admin}/metrics` };
  };
  return [
    replica(0),
    replica(1),
    { name: 'envoy', pid: () => alive(scene.envoy.child.process), metricsUrl: undefined },
  ];
}

const alive = (child: Scene['envoy']['child']['process'] | undefined): number | undefined =>
  child?.exitCode === null && child.signalCode === null ? child.pid : undefined;

function percentiles(latencies: readonly number[]): Report['latencyMs'] {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

function write(report: Report): void {
  mkdirSync(RESULTS, { recursive: true });
  const base = join(RESULTS, new Date().toISOString().slice(0, 19).replaceAll(':', '-'));
  writeFileSync(`${base}.json`, JSON.stringify(report, null, 1));
  writeFileSync(`${base}.txt`, `${text(report)}\n`);
  console.log(`\n${text(report)}\n\n${base}.{txt,json}`);
}

process.exitCode = await run();
