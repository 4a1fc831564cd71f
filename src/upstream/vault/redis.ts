import type { Log } from '../../core/ports.ts';
import { connectRedis } from './redis-connection.ts';
import { warnOfLosses } from './redis-settings.ts';
import type { Store, StoredRecord } from './store.ts';

const GRANT = 'emi:grant:';
const HELD = 'emi:held:';
const PAGE = '500';

/** A grant is one string, `<generation>:<provider>:<sealed>`, so that every script touches one key (Redis Cluster's rule). */
const HAS_GENERATION = `redis.call('GETRANGE', KEYS[1], 0, #ARGV[1]) == ARGV[1] .. ':'`;
const COMPARE_AND_SET = `if ${HAS_GENERATION} then redis.call('SET', KEYS[1], ARGV[2]) return 1 end return 0`;
const DELETE_IF = `if ${HAS_GENERATION} then return redis.call('DEL', KEYS[1]) end return 0`;
const LET_GO = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/**
 * A Redis that all replicas share; its clock counts for leases, so replicas may disagree about the time.
 * Opens also while Redis is away: `ping` tells, and the connection comes when Redis does.
 * @param url redis:// or rediss:// (certificates are checked; add an authority with NODE_EXTRA_CA_CERTS)
 */
export async function openRedisStore(url: string, log: Log): Promise<Store> {
  const told = new Set<string>();
  const redis = await connectRedis(url, log, (connection) => void warnOfLosses(connection, log, told));
  const evaluate = async (script: string, key: string, ...args: string[]) =>
    (await redis.command('EVAL', script, '1', key, ...args)) === 1;

  return {
    read: async (record) => {
      const value = await redis.command('GET', GRANT + record);
      return typeof value === 'string' ? decode(record, value) : undefined;
    },
    put: async (next) => void (await redis.command('SET', GRANT + next.record, encode(next))),
    compareAndSet: (expected, next) => evaluate(COMPARE_AND_SET, GRANT + next.record, String(expected), encode(next)),
    delete: async (record, expected) => {
      if (expected !== undefined) return evaluate(DELETE_IF, GRANT + record, String(expected));
      return (await redis.command('DEL', GRANT + record)) === 1;
    },
    hold: async (name, token, ttlMs) =>
      (await redis.command('SET', HELD + name, token, 'NX', 'PX', String(ttlMs))) === 'OK',
    letGo: (name, token) => evaluate(LET_GO, HELD + name, token),
    async *pages() {
      let cursor = '0';
      do {
        const [next, keys] = (await redis.command('SCAN', cursor, 'MATCH', `${GRANT}*`, 'COUNT', PAGE)) as [
          string,
          string[],
        ];
        const values = await Promise.all(keys.map((key) => redis.command('GET', key)));
        yield keys.flatMap((key, i) => {
          const value = values[i];
          return typeof value === 'string' ? decode(key.slice(GRANT.length), value) : [];
        });
        cursor = next;
      } while (cursor !== '0');
    },
    ping: async () => void (await redis.command('PING')),
    close: () => redis.close(),
  };
}

function encode({ generation, provider, sealed }: StoredRecord): string {
  return `${generation}:${provider}:${sealed}`;
}

/** What is not ours becomes a record that does not open, so that it is reported and not passed over. */
function decode(record: string, value: string): StoredRecord {
  const [, generation, provider, sealed] = /^(\d{1,16}):([^:]*):([^:]*)$/.exec(value) ?? [];
  if (generation === undefined || provider === undefined || sealed === undefined)
    return { record, generation: 0, provider: '', sealed: '' };
  return { record, generation: Number(generation), provider, sealed };
}
