import { randomBytes, randomInt } from 'node:crypto';
import type { Sealer } from '../../core/seal.ts';
import { openGrant, sealGrant } from './grant-record.ts';
import type { Run } from './operations.ts';
import { hashOf, recordKeyOf } from './record-key.ts';
import type { Store, StoredRecord } from './store.ts';
import { VaultError } from './vault-error.ts';
import { nextGeneration } from './vault.ts';
import type { GrantKey, ListFilter, ListedGrant, UnreadableGrant, Vault } from './vault.ts';

/** 2^47 first generations, and room to count up from each of them below 2^53. */
const FIRST_GENERATION_LIMIT = 2 ** 47;
const MAX_TTL_MS = 24 * 3_600_000;

/** The vault over any store: names are hashed and grants sealed before they get there. */
export function createVault(store: Store, sealer: Sealer, run: Run): Vault {
  return {
    read: (key, signal) =>
      run(
        'read',
        async () => {
          const stored = await store.read(recordKeyOf(key));
          return stored && openGrant(sealer, stored).grant;
        },
        signal,
      ),

    create: (key, content, signal) =>
      run(
        'create',
        async () => {
          const generation = randomInt(1, FIRST_GENERATION_LIMIT);
          await store.put(sealGrant(sealer, key, generation, content));
          return { ...content, generation };
        },
        signal,
      ),

    compareAndSet: (key, expected, content, signal) =>
      run(
        'compare_and_set',
        async () => {
          const next = sealGrant(sealer, key, nextGeneration(expected), content);
          return (await store.compareAndSet(expected, next)) ? 'stored' : 'conflict';
        },
        signal,
      ),

    markStale: (key, generation, signal) =>
      run(
        'mark_stale',
        async () => {
          const stored = await store.read(recordKeyOf(key));
          if (stored?.generation !== generation) return 'conflict';
          const { grant } = openGrant(sealer, stored);
          const next = sealGrant(sealer, key, generation, { ...grant, stale: true });
          return (await store.compareAndSet(generation, next)) ? 'stored' : 'conflict';
        },
        signal,
      ),

    deleteIf: (key, generation, signal) => run('delete', () => store.delete(recordKeyOf(key), generation), signal),
    delete: (key, signal) => run('delete', () => store.delete(recordKeyOf(key), undefined), signal),
    deleteRecord: (record, signal) => run('delete', () => store.delete(record, undefined), signal),

    lease: (name, ttlMs, owner, signal) =>
      run(
        'lease',
        async () => {
          // The random part also tells two turns of one owner apart: whoever was too slow cannot release the next one's.
          const token = `${owner}:${randomBytes(16).toString('base64url')}`;
          return (await store.hold(hashOf('lease', name), token, checkedTtl(ttlMs))) ? { name, token } : undefined;
        },
        signal,
      ),
    release: ({ name, token }, signal) => run('release', () => store.letGo(hashOf('lease', name), token), signal),
    once: (key, ttlMs, signal) =>
      run('once', async () => store.hold(hashOf('once', key), '1', checkedTtl(ttlMs)), signal),

    list: (filter = {}, signal) => list(store, sealer, run, filter, signal),
    ping: (signal) => run('ping', () => store.ping(), signal),
    close: () => store.close(),
  };
}

async function* list(
  store: Store,
  sealer: Sealer,
  run: Run,
  filter: ListFilter,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedGrant | UnreadableGrant> {
  const pages = store.pages()[Symbol.asyncIterator]();
  try {
    for (;;) {
      const page = await run('list', () => pages.next(), signal);
      if (page.done) return;
      for (const stored of page.value) {
        if (filter.provider !== undefined && filter.provider !== stored.provider) continue;
        const listed = listing(sealer, stored);
        if (listed.kind === 'unreadable' || matches(listed, filter)) yield listed;
      }
    }
  } finally {
    await pages.return?.();
  }
}

function listing(sealer: Sealer, stored: StoredRecord): ListedGrant | UnreadableGrant {
  const { record, generation, provider } = stored;
  try {
    const { key, grant } = openGrant(sealer, stored);
    const { scopes, requestedScopes, connectedAtMs, refreshedAtMs, expiresAtMs, issuedBy } = grant;
    return {
      kind: 'grant',
      record,
      ...key,
      generation,
      scopes,
      requestedScopes,
      connectedAtMs,
      ...(refreshedAtMs !== undefined && { refreshedAtMs }),
      ...(expiresAtMs !== undefined && { expiresAtMs }),
      ...(issuedBy !== undefined && { issuedBy }),
      stale: grant.stale ?? false,
      refreshable: grant.refreshToken !== undefined,
    };
  } catch (error) {
    if (!(error instanceof VaultError) || error.code === 'unavailable') throw error;
    return { kind: 'unreadable', record, provider, generation, fault: error.code, keyId: error.keyId };
  }
}

function matches(key: GrantKey, filter: ListFilter): boolean {
  return (
    (filter.issuer === undefined || filter.issuer === key.issuer) &&
    (filter.subject === undefined || filter.subject === key.subject)
  );
}

function checkedTtl(ttlMs: number): number {
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1 || ttlMs > MAX_TTL_MS)
    throw new RangeError('a time to live is 1 ms to 24 h, in whole milliseconds');
  return ttlMs;
}
