import type { Metrics } from './ports.ts';

/**
 * For `dispose` of an LRU cache: counts what had to go for lack of room, not what was replaced or dropped.
 * @param cache a fixed word, or a name of the configuration
 */
export function countEvictions(
  metrics: Metrics,
  cache: string,
): (value: unknown, key: unknown, reason: string) => void {
  const counter = metrics.counter('mcp_identity_cache_evictions_total', 'Entries that made room for others', { cache });
  return (_value, _key, reason) => {
    if (reason === 'evict') counter.inc();
  };
}
