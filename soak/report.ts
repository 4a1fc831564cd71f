import type { Accounts, Records } from './aftermath.ts';
import type { Happened } from './chaos.ts';
import { BOUNDS, type Growth } from './flat.ts';
import { KINDS } from './kinds.ts';
import type { Counts, Finding } from './ledger.ts';
import type { Sample } from './watch.ts';

export interface Report {
  readonly setting: Readonly<Record<string, string | number>>;
  readonly seconds: number;
  readonly counts: Readonly<Record<string, Counts>>;
  readonly total: Counts;
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number; readonly max: number };
  readonly findingCount: number;
  readonly findings: readonly Finding[];
  readonly happened: readonly Happened[];
  readonly excused: Readonly<Record<string, number>>;
  readonly stalls: { readonly count: number; readonly longestMs: number };
  readonly load: { readonly reconnects: number; readonly leftOut: number };
  readonly refreshes: {
    readonly total: number;
    readonly double: number;
    /** Re-used after a replica was killed between the provider's answer and the store, and forgiven. */
    readonly forgiven: number;
    /** The same, not forgiven: the account is lost. */
    readonly unavoidable: number;
  };
  readonly accounts: Accounts;
  readonly records: Records;
  readonly growth: readonly Growth[];
  readonly samples: readonly Sample[];
  readonly faults: readonly string[];
}

/** What must not be: reasons to end with 1. */
export function faultsOf(report: Omit<Report, 'faults'>): string[] {
  const { total, findingCount, refreshes, accounts } = report;
  const lost = new Set([...accounts.provider, ...accounts.listed, ...accounts.calls]).size;
  return [
    [findingCount - total.outside, 'wrong answers'],
    [total.outside, 'calls unavailable though nothing was out of order'],
    [lost, 'lost accounts'],
    [refreshes.double, 'refresh tokens used twice'],
    [report.growth.filter(({ verdict }) => verdict === 'GROWS').length, 'processes that grow'],
  ].flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`]));
}

export function text(report: Report): string {
  const { total, refreshes, accounts, stalls, load, latencyMs } = report;
  const lost = (users: readonly string[]) =>
    `${users.length}${users.length > 0 ? ` (${users.slice(0, 5).join(', ')})` : ''}`;
  return [
    `Soak: ${Object.entries(report.setting)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}`,
    '',
    `${total.calls} calls in ${report.seconds.toFixed(0)} s: ${total.allowed} allowed, ${total.denied} denied by design, ` +
      `${total.abandoned} given up by the client, ${total.outage} unavailable in an outage, ${total.grace} soon after one, ` +
      `${total.outside} at other times, ${report.findingCount - total.outside} wrong answers.`,
    `Latency of allowed calls: p50 ${latencyMs.p50} ms, p95 ${latencyMs.p95} ms, p99 ${latencyMs.p99} ms, longest ${latencyMs.max} ms.`,
    `Load: ${load.reconnects} calls made again on a new connection, ${load.leftOut} left out; the machine stood still ${stalls.count} times, ${stalls.longestMs.toFixed(0)} ms at most.`,
    '',
    columns([
      ['kind', 'calls', 'allowed', 'denied', 'given up', 'in an outage', 'soon after', 'otherwise', 'wrong'],
      ...KINDS.map((kind) => {
        const counts = report.counts[kind] as Counts;
        const { calls, allowed, denied, abandoned, outage, grace, outside, wrong } = counts;
        return [kind, ...[calls, allowed, denied, abandoned, outage, grace, outside, wrong].map(String)];
      }),
    ]),
    '',
    columns([
      ['disaster', 'times', 'seconds', 'calls unavailable'],
      ...[...Map.groupBy(report.happened, ({ name }) => name)].map(([name, times]) => [
        name,
        String(times.length),
        (times.reduce((sum, { fromMs, untilMs }) => sum + untilMs - fromMs, 0) / 1_000).toFixed(0),
        String(report.excused[name] ?? 0),
      ]),
      ...(report.excused['the machine stood still']
        ? [['the machine stood still', String(stalls.count), '', String(report.excused['the machine stood still'])]]
        : []),
    ]),
    '',
    `Upstream tokens: ${refreshes.total} refreshes, ${refreshes.double} refresh tokens used twice. A replica was killed between ` +
      `the provider's answer and the store: ${refreshes.forgiven} times forgiven by the provider, ${refreshes.unavoidable} accounts lost because it was not.`,
    `Accounts: ${accounts.connected} connected at the start; of these at the end: calls fail for ${lost(accounts.calls)}, ` +
      `the provider has ended ${lost(accounts.provider)}, \`grants list\` lacks ${lost(accounts.listed)}.`,
    '',
    columns([
      [
        'process',
        'pid',
        'minutes',
        'MiB',
        'heap MiB',
        'handles',
        'loop ms',
        'MiB/min',
        'heap MiB/min',
        'handles/min',
        'verdict',
      ],
      ...report.growth.map((one) => processRow(one, report.samples)),
    ]),
    `Bounds for the second half: ${BOUNDS.rssMiB} MiB, ${BOUNDS.heapMiB} MiB of heap, ${BOUNDS.handles} handles a minute.`,
    '',
    'Audit:',
    ...Object.entries(report.records.reasons)
      .sort(([, a], [, b]) => b - a)
      .map(([what, count]) => `  ${String(count).padStart(7)}  ${what}`),
    'Logged as warning or error:',
    ...Object.entries(report.records.logged).map(([what, count]) => `  ${String(count).padStart(7)}  ${what}`),
    ...(report.findingCount === 0 ? [] : ['', 'Findings:']),
    ...report.findings.slice(0, 40).map(({ time, what, kind, detail }) => `  ${time} ${kind}: ${what}: ${detail}`),
    '',
    report.faults.length === 0 ? 'Good: nothing that must not be.' : `BAD: ${report.faults.join('; ')}.`,
  ].join('\n');
}

function processRow({ name, pid, minutes, perMinute, verdict }: Growth, samples: readonly Sample[]): string[] {
  const own = samples.filter((sample) => sample.pid === pid);
  const range = (of: (sample: Sample) => number) => {
    const values = own.map(of);
    return `${values[0]?.toFixed(0)}–${Math.max(...values).toFixed(0)}`;
  };
  const each = perMinute
    ? [perMinute.rssMiB, perMinute.heapMiB, perMinute.handles].map((value) => value.toFixed(1))
    : ['', '', ''];
  return [
    name,
    String(pid),
    minutes.toFixed(1),
    range(({ rssMiB }) => rssMiB),
    range(({ heapMiB }) => heapMiB),
    range(({ handles }) => handles),
    Math.max(...own.map(({ loopMs }) => loopMs)).toFixed(0),
    ...each,
    verdict,
  ];
}

/** The first column to the left, numbers to the right. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] as readonly string[]).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
        .join('  '),
    )
    .join('\n');
}
