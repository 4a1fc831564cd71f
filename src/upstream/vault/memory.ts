import type { Clock } from '../../core/ports.ts';
import type { Store, StoredRecord } from './store.ts';
import { VaultError } from './vault-error.ts';

const PAGE = 500;
const MAX_HELD = 1_000_000;

/**
 * Keeps everything in this process: for one replica, and gone when it ends.
 * @param maxHeld leases and used-up keys at one time
 */
export function createMemoryStore(clock: Clock, maxHeld = MAX_HELD): Store {
  const records = new Map<string, StoredRecord>();
  const held = new Map<string, { readonly token: string; readonly untilMs: number }>();
  let sweepAtSize = 1_024;
  let fullUntilMs = 0;

  /** Makes room. Flat cost per call: the next sweep comes when the map has doubled, and at most once a second when it is full. */
  function sweep(nowMs: number): void {
    if (nowMs >= fullUntilMs) {
      for (const [name, { untilMs }] of held) if (untilMs <= nowMs) held.delete(name);
      sweepAtSize = Math.min(maxHeld, Math.max(1_024, held.size * 2));
      if (held.size >= maxHeld) fullUntilMs = nowMs + 1_000;
    }
    if (held.size >= maxHeld)
      throw new VaultError('unavailable', `the memory store already holds ${held.size} leases and used-up keys`);
  }

  return {
    read: async (record) => records.get(record),
    put: async (next) => void records.set(next.record, next),
    compareAndSet: async (expected, next) => {
      if (records.get(next.record)?.generation !== expected) return false;
      records.set(next.record, next);
      return true;
    },
    delete: async (record, expected) => {
      if (expected !== undefined && records.get(record)?.generation !== expected) return false;
      return records.delete(record);
    },
    hold: async (name, token, ttlMs) => {
      const nowMs = clock.nowMs();
      const current = held.get(name);
      if (current && current.untilMs > nowMs) return false;
      if (held.size >= sweepAtSize) sweep(nowMs);
      held.set(name, { token, untilMs: nowMs + ttlMs });
      return true;
    },
    letGo: async (name, token) => {
      const current = held.get(name);
      if (current?.token !== token) return false;
      held.delete(name);
      return current.untilMs > clock.nowMs();
    },
    async *pages() {
      let page: StoredRecord[] = [];
      for (const stored of records.values()) {
        page.push(stored);
        if (page.length === PAGE) {
          yield page;
          page = [];
        }
      }
      if (page.length > 0) yield page;
    },
    ping: async () => {},
    close: async () => {},
  };
}
