import { createHmac, randomBytes } from 'node:crypto';
import type { Keep, Tools } from '../core/ports.ts';
import { Secret } from '../core/secret.ts';
import type { PrometheusMetrics } from '../observe/metrics.ts';

interface Part {
  readonly value: unknown;
  readonly close: () => void;
  holders: number;
}

/** What one generation holds. */
export interface Holding extends Keep {
  /** Closes what nobody else holds. */
  release(): void;
}

/**
 * Parts that go from one generation to the next while their settings stay the same: caches, throttles, connections.
 * Another setting makes another part, so nothing is judged by what was remembered under other rules.
 */
export class Parts {
  readonly #tools: Tools;
  readonly #metrics: PrometheusMetrics;
  readonly #parts = new Map<string, Part>();
  /** Settings hold passwords that people chose: what is kept of them must not tell anything. */
  readonly #key = randomBytes(32);

  constructor(tools: Tools, metrics: PrometheusMetrics) {
    this.#tools = tools;
    this.#metrics = metrics;
  }

  hold(): Holding {
    const held = new Map<string, Part>();
    return {
      take: (name, settings, build, close) => {
        const id = `${name} ${this.fingerprint(settings)}`;
        let part = held.get(id) ?? this.#parts.get(id);
        if (!part) {
          part = this.#build(build, close);
          this.#parts.set(id, part);
        }
        if (!held.has(id)) {
          held.set(id, part);
          part.holders++;
        }
        return part.value as ReturnType<typeof build>;
      },
      release: () => {
        for (const [id, part] of held) {
          if (--part.holders > 0) continue;
          this.#parts.delete(id);
          part.close();
        }
        held.clear();
      },
    };
  }

  #build<T>(build: (tools: Tools, keep: Keep) => T, close?: (part: T) => void): Part {
    const metrics = this.#metrics.scope();
    const inner = this.hold();
    const end = (): void => {
      metrics.end();
      inner.release();
    };
    try {
      const value = build({ ...this.#tools, metrics }, inner);
      const closeAll = (): void => {
        close?.(value);
        end();
      };
      return { value, close: closeAll, holders: 0 };
    } catch (error) {
      end();
      throw error;
    }
  }

  /** Tells settings apart, secrets included, and says nothing about them. */
  fingerprint(settings: unknown): string {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify(canonical(settings)) ?? '')
      .digest('base64url');
  }
}

/** The order of keys means nothing; that of lists does. */
function canonical(value: unknown): unknown {
  if (value instanceof Secret) return { secret: value.reveal() };
  if (Array.isArray(value)) return value.map(canonical);
  if (value instanceof Map) return { map: [...value].map(canonical) };
  if (value instanceof Set) return { set: [...value].map(canonical) };
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, one]) => [key, canonical(one)]));
}
