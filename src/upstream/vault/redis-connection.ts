import type { Log } from '../../core/ports.ts';
import { VaultError } from './vault-error.ts';

const CONNECT_LIMIT_MS = 2_000;
/** A connection is given up after this long without a byte; pings keep a healthy one from being silent. */
const SILENCE_LIMIT_MS = 3_000;
const PING_EVERY_MS = 1_000;
const BACK_OFF_MS = { first: 50, most: 2_000, jitter: 200 };
const MAX_WAITING = 10_000;
const CLOSE_LIMIT_MS = 1_000;

export interface RedisConnection {
  /** @throws VaultError `unavailable`: at once while there is no connection */
  command(...args: readonly string[]): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * Connects, and reconnects for as long as it takes. Commands never wait for a connection: who asks while Redis is
 * away hears so at once. Returns when connected, or after a moment when Redis does not answer yet.
 * @param onReady called after every connect
 * @throws when the URL is not usable; never repeats the URL, which may hold a password
 */
export async function connectRedis(
  url: string,
  log: Log,
  onReady: (connection: RedisConnection) => void,
): Promise<RedisConnection> {
  const store = nameOf(url);
  const { createClient } = await import('redis'); // a large package that other stores do without
  const client = createClient({
    url,
    RESP: 2, // all we need, and understood by every server and proxy
    disableOfflineQueue: true,
    commandsQueueMaxLength: MAX_WAITING,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    pingInterval: PING_EVERY_MS,
    socket: {
      connectTimeout: CONNECT_LIMIT_MS,
      socketTimeout: SILENCE_LIMIT_MS,
      reconnectStrategy: (retries) =>
        Math.min(BACK_OFF_MS.first * 2 ** Math.min(retries, 10), BACK_OFF_MS.most) + Math.random() * BACK_OFF_MS.jitter,
    },
  });

  const connection: RedisConnection = {
    command: async (...args) => {
      try {
        return await client.sendCommand(args);
      } catch (error) {
        throw new VaultError('unavailable', `Redis: ${reasonOf(error)}`);
      }
    },
    close: async () => {
      if (client.isReady) await within(CLOSE_LIMIT_MS, client.close());
      client.destroy();
    },
  };

  let up: boolean | undefined;
  client.on('error', (error: unknown) => {
    if (up !== false && client.isOpen) log.warn('the vault store does not answer', { store, reason: reasonOf(error) });
    up = false;
  });
  const ready = new Promise<void>((resolve) => {
    client.on('ready', () => {
      if (up === false) log.info('the vault store answers again', { store });
      up = true;
      onReady(connection);
      resolve();
    });
  });
  client.connect().catch(() => {}); // it only ends when we close; each failure is told as an `error` event
  await within(CONNECT_LIMIT_MS, ready);
  return connection;
}

/** Server and database, without user and password. */
function nameOf(url: string): string {
  if (!URL.canParse(url)) throw new Error('vault.store is not a redis:// or rediss:// URL');
  const { protocol, host, pathname, search } = new URL(url);
  if (!host || !/^\/?\d{0,5}$/.test(pathname) || search)
    throw new Error('vault.store must look like redis://[user:password@]host[:port][/database]');
  return `${protocol}//${host}${pathname}`;
}

/** Why a command failed, in a word. Redis repeats arguments in some of its error texts, so only their first word counts. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const { code } = error as { code?: unknown };
  if (typeof code === 'string') return code;
  return /^[A-Z]{2,}(?= |$)/.exec(error.message)?.[0] ?? error.constructor.name;
}

/** Waits for `promise`, but not longer than `limitMs`; how it ends does not matter. */
async function within(limitMs: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([promise, limit]).catch(() => {});
  clearTimeout(timer);
}
