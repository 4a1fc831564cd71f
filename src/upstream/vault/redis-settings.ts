import type { Log } from '../../core/ports.ts';
import type { RedisConnection } from './redis-connection.ts';

/**
 * Redis acknowledges writes that it can lose, unless it is told otherwise. A lost write is a refresh token that the
 * provider has already replaced, or a single-use value that can be used again.
 */
const DURABLE = {
  appendonly: { needed: 'yes', risk: 'all grants are lost when Redis restarts between snapshots' },
  appendfsync: { needed: 'always', risk: 'grants of the last moment are lost when Redis or its machine stops' },
  'maxmemory-policy': { needed: 'noeviction', risk: 'grants, leases and single-use marks vanish when memory is short' },
} as const;

/**
 * Warns about each setting that can lose writes. A server that hides its settings gets one line saying so.
 * @param told what was said after earlier connects, and need not be said again
 */
export async function warnOfLosses(connection: RedisConnection, log: Log, told: Set<string>): Promise<void> {
  const warn = (message: string, fields?: Readonly<Record<string, unknown>>) => {
    if (told.has(message)) return;
    told.add(message);
    log.warn(message, fields);
  };
  for (const [setting, { needed, risk }] of Object.entries(DURABLE)) {
    const answer = await connection.command('CONFIG', 'GET', setting).catch(() => undefined);
    const value = Array.isArray(answer) ? (answer[1] as unknown) : undefined;
    if (typeof value !== 'string') {
      warn(
        'Redis does not tell its settings: make sure that it runs with appendonly yes, appendfsync always, maxmemory-policy noeviction',
      );
      return;
    }
    if (value !== needed) warn(`Redis can lose writes: ${setting} is ${value}`, { setting, value, needed, risk });
  }
}
