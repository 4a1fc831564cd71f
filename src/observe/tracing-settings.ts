/** What the operator asks of tracing, by the environment variables that OpenTelemetry defines. */
export interface TracingSettings {
  /** Where traces go: the URL as a whole. */
  readonly endpoint: string;
  /** For the collector; may hold its credential. */
  readonly headers: Readonly<Record<string, string>>;
  readonly encoding: 'json' | 'protobuf';
  readonly gzip: boolean;
  /** For one export, in milliseconds. */
  readonly timeoutMs: number;
  readonly sampler: { readonly parentBased: boolean; readonly ratio: number };
  readonly batch: {
    readonly delayMs: number;
    /** Spans in one export. */
    readonly size: number;
    /** Spans that may wait; more are dropped. */
    readonly queue: number;
  };
  /** Whether those we call learn which trace it is for. */
  readonly handOn: boolean;
}

export interface TracingReading {
  /** Undefined: no traces. */
  readonly settings: TracingSettings | undefined;
  /** What was asked for and cannot be done, with the name of the variable and never its value. */
  readonly problems: readonly string[];
}

type Env = Readonly<Record<string, string | undefined>>;

const SAMPLERS: Readonly<Record<string, { readonly parentBased: boolean; readonly root: 'on' | 'off' | 'ratio' }>> = {
  always_on: { parentBased: false, root: 'on' },
  always_off: { parentBased: false, root: 'off' },
  traceidratio: { parentBased: false, root: 'ratio' },
  parentbased_always_on: { parentBased: true, root: 'on' },
  parentbased_always_off: { parentBased: true, root: 'off' },
  parentbased_traceidratio: { parentBased: true, root: 'ratio' },
};

/** What cannot be done over the one door out; Node knows its own variables for it. */
const UNSUPPORTED = ['CERTIFICATE', 'CLIENT_KEY', 'CLIENT_CERTIFICATE'];

/** Empty values count as unset, and a wrong one never keeps the service from starting (OpenTelemetry, environment variables). */
export function readTracingSettings(env: Env): TracingReading {
  const problems: string[] = [];
  const value = (name: string): string | undefined => env[name]?.trim() || undefined;
  const exporter = (name: string) => value(`OTEL_EXPORTER_OTLP_TRACES_${name}`) ?? value(`OTEL_EXPORTER_OTLP_${name}`);
  const off = (): TracingReading => ({ settings: undefined, problems });

  const base = value('OTEL_EXPORTER_OTLP_ENDPOINT');
  const own = value('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT');
  const asked = value('OTEL_TRACES_EXPORTER')
    ?.split(',')
    .map((word) => word.trim());
  if (value('OTEL_SDK_DISABLED')?.toLowerCase() === 'true' || asked?.includes('none')) return off();
  if (!asked && base === undefined && own === undefined) return off();
  if (asked && !asked.includes('otlp')) {
    problems.push('OTEL_TRACES_EXPORTER: only otlp and none are known; there are no traces');
    return off();
  }

  const endpoint = own ?? `${(base ?? 'http://localhost:4318').replace(/\/+$/, '')}/v1/traces`;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password) {
    problems.push(
      `OTEL_EXPORTER_OTLP_${own === undefined ? '' : 'TRACES_'}ENDPOINT: must be an http or https URL without user info; there are no traces`,
    );
    return off();
  }
  const protocol = exporter('PROTOCOL') ?? 'http/protobuf';
  if (protocol !== 'http/protobuf' && protocol !== 'http/json') {
    problems.push('OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf and http/json are known; there are no traces');
    return off();
  }
  const word = value('OTEL_TRACES_SAMPLER') ?? 'parentbased_always_on';
  const kind = Object.hasOwn(SAMPLERS, word) ? SAMPLERS[word] : undefined;
  if (!kind) problems.push('OTEL_TRACES_SAMPLER: is not known; parentbased_always_on is used');
  const { parentBased, root } = kind ?? { parentBased: true, root: 'on' };
  if (root === 'off' && !parentBased) return off();

  const number = (name: string, otherwise: number, least: number, most: number): number => {
    const text = value(name);
    const parsed = Number(text ?? otherwise);
    if (parsed >= least && parsed <= most) return parsed;
    problems.push(`${name}: must be a number from ${least} to ${most}; ${otherwise} is used`);
    return otherwise;
  };
  const compression = exporter('COMPRESSION') ?? 'none';
  if (compression !== 'gzip' && compression !== 'none')
    problems.push('OTEL_EXPORTER_OTLP_COMPRESSION: only gzip and none are known; none is used');
  for (const name of UNSUPPORTED)
    if (exporter(name) !== undefined)
      problems.push(`OTEL_EXPORTER_OTLP_${name}: is not used; NODE_EXTRA_CA_CERTS names further authorities`);
  const queue = number('OTEL_BSP_MAX_QUEUE_SIZE', 2_048, 1, 65_536);
  const timeoutName = value('OTEL_EXPORTER_OTLP_TRACES_TIMEOUT') ? 'OTLP_TRACES_TIMEOUT' : 'OTLP_TIMEOUT';
  const settings: TracingSettings = {
    endpoint: url.href,
    headers: {
      ...pairs('OTEL_EXPORTER_OTLP_HEADERS', value, problems),
      ...pairs('OTEL_EXPORTER_OTLP_TRACES_HEADERS', value, problems),
    },
    encoding: protocol === 'http/json' ? 'json' : 'protobuf',
    gzip: compression === 'gzip',
    timeoutMs: Math.min(
      number(`OTEL_EXPORTER_${timeoutName}`, 10_000, 1, 60_000),
      number('OTEL_BSP_EXPORT_TIMEOUT', 30_000, 1, 60_000),
    ),
    sampler: {
      parentBased,
      ratio: root === 'ratio' ? number('OTEL_TRACES_SAMPLER_ARG', 1, 0, 1) : root === 'on' ? 1 : 0,
    },
    batch: {
      delayMs: number('OTEL_BSP_SCHEDULE_DELAY', 5_000, 1, 600_000),
      size: Math.min(queue, number('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512, 1, 65_536)),
      queue,
    },
    handOn: (value('OTEL_PROPAGATORS') ?? 'tracecontext').split(',').some((one) => one.trim() === 'tracecontext'),
  };
  return { settings, problems };
}

/** `name=value,name=value`, percent-encoded. */
function pairs(
  name: string,
  value: (name: string) => string | undefined,
  problems: string[],
): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const pair of (value(name) ?? '').split(',')) {
    if (pair.trim() === '') continue;
    const at = pair.indexOf('=');
    try {
      const key = decodeURIComponent(pair.slice(0, Math.max(0, at)))
        .trim()
        .toLowerCase();
      const text = decodeURIComponent(pair.slice(at + 1)).trim();
      if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(key) || !/^[\t\x20-\x7e]*$/.test(text)) throw new Error('no header');
      found[key] = text;
    } catch {
      problems.push(`${name}: holds something that is no header; it is left out`);
    }
  }
  return found;
}
