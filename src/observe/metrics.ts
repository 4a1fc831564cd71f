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

/** Metrics in the Prometheus text format (contract §2, `/metrics`). */
export interface PrometheusMetrics extends Metrics {
  text(): Promise<string>;
  readonly contentType: string;
}

export function createMetrics(options: { process: boolean } = { process: true }): PrometheusMetrics {
  const registry = new Registry();
  if (options.process) collectDefaultMetrics({ register: registry });
  const counters = new Map<string, PromCounter>();
  const histograms = new Map<string, PromHistogram>();
  const gauges = new Map<string, { labels: Labels; read: () => number }[]>();

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
      let readers = gauges.get(name);
      if (!readers) {
        const all: { labels: Labels; read: () => number }[] = [];
        readers = all;
        gauges.set(name, all);
        new Gauge({
          name,
          help,
          labelNames: Object.keys(labels),
          registers: [registry],
          collect() {
            for (const reader of all) this.set(reader.labels, reader.read());
          },
        });
      }
      readers.push({ labels, read });
    },
  };
  if (options.process) registerBuildInfo(metrics);
  return metrics;
}
