import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** One span as OTLP in JSON has it, with its attributes by name. */
export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly traceState: string | undefined;
  readonly name: string;
  readonly kind: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  /** 0 unset, 2 error. */
  readonly status: number;
}

/** Takes traces as OpenTelemetry collectors do, over OTLP/HTTP. */
export interface Collector {
  readonly url: string;
  readonly port: number;
  /** Everything that arrived, in order. */
  readonly requests: {
    readonly path: string;
    readonly headers: Readonly<Record<string, unknown>>;
    readonly bytes: Buffer;
  }[];
  /** Spans of what arrived as JSON. */
  readonly spans: CollectedSpan[];
  /** Attributes of the resource of the last export in JSON. */
  resource: Readonly<Record<string, unknown>>;
  /** What it answers; default 200. */
  status: number;
  /** Resolves with what `look` finds, as soon as it finds it. */
  until<T>(look: () => T | undefined | false, limitMs?: number): Promise<T>;
  /** The spans of that trace once `count` of them are there. */
  trace(traceId: string, count: number): Promise<CollectedSpan[]>;
  stop(): Promise<void>;
}

export async function startCollector(): Promise<Collector> {
  const watchers = new Set<() => void>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { headers, url = '' } = request;
      const sent = Buffer.concat(chunks);
      const bytes = headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
      collector.requests.push({ path: url, headers, bytes });
      if (headers['content-type'] === 'application/json') read(JSON.parse(bytes.toString('utf8')));
      response.writeHead(collector.status).end();
      for (const look of watchers) look();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  // biome-ignore lint/suspicious/noExplicitAny: JSON of somebody else
  const read = (body: any): void => {
    for (const { resource, scopeSpans } of body.resourceSpans) {
      collector.resource = named(resource.attributes);
      for (const { spans } of scopeSpans)
        for (const span of spans)
          collector.spans.push({
            traceId: span.traceId,
            spanId: span.spanId,
            parentSpanId: span.parentSpanId || undefined,
            traceState: span.traceState || undefined,
            name: span.name,
            kind: span.kind,
            attributes: named(span.attributes) as CollectedSpan['attributes'],
            links: span.links ?? [],
            status: span.status?.code ?? 0,
          });
    }
  };

  const collector: Collector = {
    url: `http://127.0.0.1:${port}`,
    port,
    requests: [],
    spans: [],
    resource: {},
    status: 200,
    until: (look, limitMs = 10_000) =>
      new Promise((resolve, reject) => {
        const attempt = () => {
          const found = look();
          if (found === undefined || found === false) return;
          clearTimeout(timer);
          watchers.delete(attempt);
          resolve(found);
        };
        const timer = setTimeout(() => {
          watchers.delete(attempt);
          const names = collector.spans.map(({ traceId, name }) => `${traceId} ${name}`);
          reject(new Error(`did not arrive; spans so far:\n${names.join('\n')}`));
        }, limitMs);
        watchers.add(attempt);
        attempt();
      }),
    trace: (traceId, count) =>
      collector.until(() => {
        const found = collector.spans.filter((span) => span.traceId === traceId);
        return found.length >= count && found;
      }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return collector;
}

/** OTLP attributes as an object; 64-bit integers come as text in JSON. */
function named(attributes: readonly { key: string; value: Record<string, unknown> }[]): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value['intValue'] === undefined ? Object.values(value)[0] : Number(value['intValue']),
    ]),
  );
}

/** `check > authenticate jwt`: every span with those above it, in the order of the text. */
export function tree(spans: readonly CollectedSpan[]): string[] {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const path = (span: CollectedSpan): string => {
    const parent = span.parentSpanId === undefined ? undefined : byId.get(span.parentSpanId);
    return parent ? `${path(parent)} > ${span.name}` : span.name;
  };
  return spans.map(path).sort();
}
