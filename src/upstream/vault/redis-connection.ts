import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../../core/ports.ts';
import { VaultError } from './vault-error.ts';

const CONNECT_LIMIT_MS = 2_000;
const PING_EVERY_MS = 1_000;
/** A connection on which a ping stays without answer for this long is given up. */
const SILENCE_LIMIT_MS = 3_000;
const BACK_OFF_MS = { first: 50, most: 2_000, jitter: 200 };
const MAX_WAITING = 10_000;
const CLOSE_LIMIT_MS = 1_000;

export interface RedisConnection {
  /** @throws VaultError `unavailable`: at once while Redis is known not to answer */
  command(...args: readonly string[]): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * Connects, and reconnects for as long as it takes. Commands never wait for a connection: who asks while Redis is
 * away hears so at once. Returns when Redis answers, or after a moment when it does not.
 * @param onAnswering called whenever Redis begins to answer
 * @throws when the URL is not usable; never repeats the URL, which may hold a password
 */
export async function connectRedis(
  url: string,
  log: Log,
  onAnswering: (connection: RedisConnection) => void,
): Promise<RedisConnection> {
  const store = nameOf(url);
  const { createClient } = await import('redis'); // a large package that other stores do without
  let firstAnswer = () => {};
  const answered = new Promise<void>((resolve) => {
    firstAnswer = resolve;
  });
  let answering: boolean | undefined;
  let watch = 0;
  let closed = false;

  const connection: RedisConnection = {
    command: async (...args) => {
      if (!answering) throw new VaultError('unavailable', 'Redis does not answer');
      try {
        return await client.sendCommand(args);
      } catch (error) {
        throw new VaultError('unavailable', `Redis: ${reasonOf(error)}`);
      }
    },
    close: async () => {
      closed = true;
      if (answering) await within(CLOSE_LIMIT_MS, client.close());
      answering = false;
      client.destroy();
    },
  };

  function connect() {
    const next = createClient({
      url,
      RESP: 2, // all we need, and understood by every server and proxy
      disableOfflineQueue: true,
      commandsQueueMaxLength: MAX_WAITING,
      disableClientInfo: true,
      maintNotifications: 'disabled',
      socket: { connectTimeout: CONNECT_LIMIT_MS, reconnectStrategy: backOffMs },
    });
    next.on('error', (error: unknown) => {
      if (next === client) lost(reasonOf(error)); // what a given-up client still says does not count
    });
    next.on('ready', () => void keepAsking(next, ++watch));
    next.connect().catch(() => {}); // ends when we close; each failure is told as an `error` event
    return next;
  }
  let client = connect();

  const current = (turn: number) => !closed && turn === watch;

  /**
   * Only an answered ping says that Redis is there: a server that hangs, or a network that swallows packets, leaves
   * the connection open for many minutes.
   */
  async function keepAsking(asked: typeof client, turn: number): Promise<void> {
    while (current(turn)) {
      const outcome = await pingOf(asked);
      if (!current(turn)) return;
      if (outcome === 'pong') found();
      else lost(outcome);
      if (outcome === 'silence') {
        asked.destroy();
        client = connect();
        return;
      }
      await delay(PING_EVERY_MS, undefined, { ref: false });
    }
  }

  function found(): void {
    if (answering) return;
    if (answering === false) log.info('the vault store answers again', { store });
    answering = true;
    firstAnswer();
    onAnswering(connection);
  }

  function lost(reason: string): void {
    if (answering !== false && !closed) log.warn('the vault store does not answer', { store, reason });
    answering = false;
  }

  await within(CONNECT_LIMIT_MS, answered);
  return connection;
}

function backOffMs(retries: number): number {
  return (
    Math.min(BACK_OFF_MS.first * 2 ** Math.min(retries, 10), BACK_OFF_MS.most) + Math.random() * BACK_OFF_MS.jitter
  );
}

/** `pong`, `silence`, or why it failed: `LOADING`, `NOAUTH`, a lost connection. */
async function pingOf(client: { sendCommand(args: string[]): Promise<unknown> }): Promise<string> {
  let outcome = 'silence';
  const asked = client.sendCommand(['PING']).then(
    () => {
      outcome = 'pong';
    },
    (error: unknown) => {
      outcome = reasonOf(error);
    },
  );
  await within(SILENCE_LIMIT_MS, asked);
  return outcome;
}

/** Server and database, without user and password. */
function nameOf(url: string): string {
  if (!URL.canParse(url)) throw new Error('vault.store is not a redis:// or rediss:// URL');
  const { protocol, host, pathname, search } = new URL(url);
  if (!host || !/^\/?\d{0,5}$/.test(pathname) || search) {
    throw new Error('vault.store must look like redis://[user:password@]host[:port][/database]');
  }
  return `${protocol}//${host}${pathname}`;
}

/** Why a command failed, in a word. Redis repeats arguments in some of its error texts, so only their first word counts. */
function reasonOf(error: unknown): string {
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
