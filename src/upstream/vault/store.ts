/** One grant as a store sees it: opaque, but for what finding and comparing need. */
export interface StoredRecord {
  /** Hash over issuer, subject and provider: a store never learns whose grant it keeps. */
  readonly record: string;
  readonly generation: number;
  readonly provider: string;
  /** The sealed grant, base64url. */
  readonly sealed: string;
}

/**
 * What a kind of store must do; each operation is atomic. Everything is opaque text of bounded size, times are
 * relative, and the store's own clock counts. Failures are `VaultError` `unavailable`. The vault bounds each call,
 * so a store may let one hang as long as it does not pile up.
 */
export interface Store {
  read(record: string): Promise<StoredRecord | undefined>;
  /** Stores in place of whatever is there. */
  put(next: StoredRecord): Promise<void>;
  /** Stores `next` if its record is there with the generation `expected`. */
  compareAndSet(expected: number, next: StoredRecord): Promise<boolean>;
  /** @param expected delete this generation only; any when undefined */
  delete(record: string, expected: number | undefined): Promise<boolean>;
  /** Stores `token` under `name` for `ttlMs` if nothing is there. */
  hold(name: string, token: string, ttlMs: number): Promise<boolean>;
  /** Removes `name` if `token` is what is there. */
  letGo(name: string, token: string): Promise<boolean>;
  /** All records, some at a time. */
  pages(): AsyncIterable<readonly StoredRecord[]>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
