import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';

interface Entry {
  readonly payload: AdapterPayload;
  readonly expiresAtMs: number;
}

/**
 * Storage for one demo identity provider: gone with the process. oidc-provider's own in-memory store
 * is shared by the whole process and announces itself with a warning; tests run several providers at once.
 */
export function memoryAdapter(): AdapterFactory {
  const entries = new Map<string, Entry>();

  function live(key: string): AdapterPayload | undefined {
    const entry = entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.expiresAtMs > Date.now()) return entry.payload;
    entries.delete(key);
    return undefined;
  }

  function findWhere(kind: string, matches: (payload: AdapterPayload) => boolean): AdapterPayload | undefined {
    for (const key of entries.keys()) {
      const payload = key.startsWith(`${kind}:`) ? live(key) : undefined;
      if (payload !== undefined && matches(payload)) return payload;
    }
    return undefined;
  }

  return (kind): Adapter => ({
    upsert: async (id, payload, expiresInSeconds) => {
      // Dynamic registrations come without a lifetime.
      const expiresAtMs = expiresInSeconds ? Date.now() + expiresInSeconds * 1000 : Infinity;
      entries.set(`${kind}:${id}`, { payload, expiresAtMs });
    },
    find: async (id) => live(`${kind}:${id}`),
    findByUid: async (uid) => findWhere(kind, (payload) => payload.uid === uid),
    findByUserCode: async (userCode) => findWhere(kind, (payload) => payload.userCode === userCode),
    consume: async (id) => {
      const payload = live(`${kind}:${id}`);
      if (payload !== undefined) payload.consumed = Math.floor(Date.now() / 1000);
    },
    destroy: async (id) => {
      entries.delete(`${kind}:${id}`);
    },
    // RFC 9700 4.14: a replayed code or refresh token takes everything of its grant with it.
    revokeByGrantId: async (grantId) => {
      for (const [key, { payload }] of entries) if (payload.grantId === grantId) entries.delete(key);
    },
  });
}
