import {
  Counter as PromCounter,
  Gauge,
  Histogram as PromHistogram,
  Registry,
  collectDefaultMetrics,
} from 'prom-client';
import type { Counter, Histogram, Metrics } from '../core/ports.ts';
import { registerBuildInfo } from './build-info.ts';

type Labels = Readonly<Record<string, string>>;

interface Reader {
  readonly labels: Labels;
  readonly read: () => number;
}

/** Metrics in the Prometheus text format (contract §2, `/metrics`). */
export interface PrometheusMetrics extends Metrics {
  text(): Promise<string>;
  readonly contentType: string;
  /** The same metrics; its gauges go when it ends, and what they read from with them. */
  scope(): Metrics & { end(): void };
}

export function createMetrics(options: { process: boolean } = { process: true }): PrometheusMetrics {
  const registry = new Registry();
  if (options.process) collectDefaultMetrics({ register: registry });
  const counters = new Map<string, PromCounter>();
  const histograms = new Map<string, PromHistogram>();
  const gauges = new Map<string, Set<Reader>>();

  const addReader = (name: string, help: string, reader: Reader): (() => void) => {
    let readers = gauges.get(name);
    if (!readers) {
      const all = new Set<Reader>();
      readers = all;
      gauges.set(name, all);
      new Gauge({
        name,
        help,
        labelNames: Object.keys(reader.labels),
        registers: [registry],
        collect() {
          this.reset();
          for (const { labels, read } of all) this.set(labels, read());
        },
      });
    }
    const all = readers.add(reader);
    return () => void all.delete(reader);
  };

  const metrics: PrometheusMetrics = {
    contentType: registry.contentType,
    text: () => registry.metrics(),

    counter(name, help, labels = {}): Counter {
      let counter = counters.get(name);
      if (!counter) {
        counter = new PromCounter({ name, help, labelNames: Object.keys(labels), registers: [registry] });
        counters.set(name, counter);
      }
      const child = counter.labels(labels);
      child.inc(0); // a series that begins with 1 hides its first event from `increase`
      return child;
    },

    histogram(name, help, buckets, labels = {}): Histogram {
      let histogram = histograms.get(name);
      if (!histogram) {
        histogram = new PromHistogram({
          name,
          help,
          buckets: [...buckets],
          labelNames: Object.keys(labels),
          registers: [registry],
        });
        histograms.set(name, histogram);
      }
      return histogram.labels(labels);
    },

    gauge(name, help, read, labels = {}): void {
      addReader(name, help, { labels, read });
    },

    scope() {
      const ends: (() => void)[] = [];
      return {
        counter: (name, help, labels) => metrics.counter(name, help, labels),
        histogram: (name, help, buckets, labels) => metrics.histogram(name, help, buckets, labels),
        gauge(name, help, read, labels = {}) {
          ends.push(addReader(name, help, { labels, read }));
        },
        end() {
          for (const end of ends.splice(0)) end();
        },
      };
    },
  };
  if (options.process) registerBuildInfo(metrics);
  return metrics;
}
