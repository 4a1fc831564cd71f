import type { Sample } from './measure.ts';
import { GO, GO_CACHED, HIT, JWT_AUTHN, NODE, ONE_TOKEN, OPA, PROC } from './variants.ts';

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export interface Row {
  readonly variant: string;
  readonly serviceCpu: Spread;
  readonly envoyCpu: Spread;
  readonly requestsPerSecond: Spread;
  readonly p50: Spread | undefined;
  readonly p99: Spread | undefined;
  /** Service CPU against that of other variants in the same round, by title. */
  readonly times: ReadonlyMap<string, Spread>;
  /** Median latency against that of Envoy's own filter in the same round. */
  readonly p50TimesJwtAuthn: Spread | undefined;
  readonly serviceMiB: number;
  readonly foreign: number;
  readonly failed: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1
      ? (sorted[middle] as number)
      : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
  return { min: sorted[0] as number, median, max: sorted.at(-1) as number };
}

/** Ratios of two variants, round by round, by default of CPU; undefined when one was not measured or costs nothing. */
export function ratio(
  samples: readonly Sample[],
  variant: string,
  against: string,
  value: (sample: Sample) => number | undefined = (sample) => sample.serviceCpu,
): Spread | undefined {
  const of = (name: string, round: number) => {
    const sample = samples.find((candidate) => candidate.variant === name && candidate.round === round);
    return (sample && value(sample)) || undefined;
  };
  const ratios = samples.flatMap(({ variant: name, round }) => {
    const [own, other] = [of(variant, round), of(against, round)];
    return name === variant && own !== undefined && other !== undefined ? [own / other] : [];
  });
  return ratios.length > 0 ? spread(ratios) : undefined;
}

/** What a variant is compared with, by title of the column. */
const COMPARED: readonly (readonly [string, string])[] = [
  ['× Go', GO],
  ['× Go with cache', GO_CACHED],
  ['× OPA', OPA],
  ['× Node', NODE],
  ['× our hit', HIT],
  ['× headers only, 4 KiB', PROC],
  ['× 1 live token', ONE_TOKEN],
];

/** One row per variant, in the order in which they were measured first. */
export function summarise(samples: readonly Sample[]): Row[] {
  return [...new Set(samples.map((sample) => sample.variant))].map((variant) => {
    const own = samples.filter((sample) => sample.variant === variant);
    const latencies = own.flatMap((sample) => sample.latency ?? []);
    const compared = [...COMPARED, ['× other checkout', variant.replace('ours', 'other')] as const];
    const times = compared.flatMap(([title, name]) => {
      const isOurs = title === '× Go' || title === '× Go with cache' || variant.startsWith('ours');
      const found = name === variant || !isOurs ? undefined : ratio(samples, variant, name);
      return found ? [[title, found] as const] : [];
    });
    return {
      variant,
      serviceCpu: spread(own.map((sample) => sample.serviceCpu)),
      envoyCpu: spread(own.map((sample) => sample.envoyCpu)),
      requestsPerSecond: spread(own.map((sample) => sample.requestsPerSecond)),
      p50: latencies.length > 0 ? spread(latencies.map(({ p50 }) => p50)) : undefined,
      p99: latencies.length > 0 ? spread(latencies.map(({ p99 }) => p99)) : undefined,
      times: new Map(times),
      p50TimesJwtAuthn:
        variant === JWT_AUTHN ? undefined : ratio(samples, variant, JWT_AUTHN, (one) => one.latency?.p50),
      serviceMiB: Math.max(...own.map((sample) => sample.serviceMiB)),
      foreign: Math.max(...own.map((sample) => sample.foreign)),
      failed: own.reduce((sum, sample) => sum + sample.failed, 0),
    };
  });
}

const fixed = (digits: number) => (value: number) => value.toFixed(digits);

/** `median (min–max)` */
function cell(of: Spread | undefined, text: (value: number) => string): string {
  if (!of || of.max === 0) return '–';
  return of.min === of.max ? text(of.median) : `${text(of.median)} (${text(of.min)}–${text(of.max)})`;
}

/** A Markdown table; columns that no row has a value for are left out. */
export function markdown(rows: readonly Row[]): string {
  const columns: readonly (readonly [string, (row: Row) => string])[] = [
    ['variant', (row) => row.variant],
    ['service CPU s/10k', (row) => cell(row.serviceCpu, fixed(2))],
    ...[...COMPARED.map(([title]) => title), '× other checkout'].map(
      (title) => [title, (row: Row) => cell(row.times.get(title), fixed(2))] as const,
    ),
    ['Envoy CPU s/10k', (row) => cell(row.envoyCpu, fixed(2))],
    ['requests/s', (row) => cell(row.requestsPerSecond, fixed(0))],
    ['p50 ms', (row) => cell(row.p50, fixed(2))],
    ['p50 × jwt_authn', (row) => cell(row.p50TimesJwtAuthn, fixed(2))],
    ['p99 ms', (row) => cell(row.p99, fixed(2))],
    ['RSS MiB', (row) => (row.serviceMiB > 0 ? row.serviceMiB.toFixed(0) : '–')],
    ['foreign CPU', (row) => `${(row.foreign * 100).toFixed(0)} %`],
    ['failed', (row) => String(row.failed)],
  ];
  const used = columns.filter(([, value]) => rows.some((row) => value(row) !== '–'));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(used.map(([title]) => title)),
    line(used.map((_, i) => (i === 0 ? '---' : '---:'))),
    ...rows.map((row) => line(used.map(([, value]) => value(row)))),
  ].join('\n');
}
