import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { Child } from '../test/support/child.ts';
import type { Ledger } from './ledger.ts';
import { nameOf } from './people.ts';
import type { Requests } from './requests.ts';
import { configFile, type Site } from './site.ts';
import type { Traffic } from './traffic.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
/** After the last disaster every account works again within this time: lease, back-off and a slow machine. */
const SETTLE_MS = 90_000;
const AT_ONCE = 8;

/** Accounts that were connected and are not any more: by what users, the provider and the operator see. */
export interface Accounts {
  readonly connected: number;
  readonly calls: readonly string[];
  readonly provider: readonly string[];
  readonly listed: readonly string[];
}

/** Every connected user calls once more. */
export async function accounts(
  site: Site,
  traffic: Traffic,
  requests: Requests,
  connected: number,
  forgone: ReadonlySet<string>,
): Promise<Accounts> {
  const users = Array.from({ length: connected }, (_, user) => user).filter((user) => !forgone.has(nameOf(user)));
  const untilMs = Date.now() + SETTLE_MS;
  const failed: string[] = [];
  const waiting = [...users];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let user = waiting.pop(); user !== undefined; user = waiting.pop()) {
        let status = 0;
        do {
          if (status !== 0) await delay(1_000);
          status = await traffic.upstream(await requests.draft('upstream', user));
        } while (status === 503 && Date.now() < untilMs);
        if (status !== 200) failed.push(`${nameOf(user)}: ${status}`);
      }
    }),
  );
  const args = [MAIN, 'grants', 'list', '--json', '--config', configFile(site, 0)];
  const list = new Child('grants list', process.execPath, args);
  const code = await list.exited;
  if (code !== 0) throw new Error(`grants list ended with ${code}: ${list.stderr.slice(-2_000)}`);
  const listed = new Set(
    list.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { kind: string; subject?: string })
      .filter(({ kind }) => kind === 'grant')
      .map(({ subject }) => subject),
  );
  return {
    connected,
    calls: failed,
    provider: users.map(nameOf).filter((user) => !site.provider.isConnected(user)),
    listed: users.map(nameOf).filter((user) => !listed.has(user)),
  };
}

/** Tokens of the issuer and the exchange, of the provider, and secrets of the configuration. */
const SECRETS = /eyJ[\w-]{10,}\.eyJ|\b[ar]t\.user-|soak-s3cret|gateway-s3cret|key-of-bot|BEGIN PRIVATE KEY/;
/** Reasons that only a bug, or a configuration that does not fit, can have. */
const BUGS = /^(internal|request_malformed|policy_\w+|headers_not_raw|body_not_buffered)$/;

export interface Records {
  /** Audit lines by outcome and reason. */
  readonly reasons: Readonly<Record<string, number>>;
  /** What the services have logged as warnings and errors, and how often. */
  readonly logged: Readonly<Record<string, number>>;
}

/** Reads what the services have written, looking for what should not be there. */
export async function records(site: Site, ledger: Ledger, outputs: readonly Child[]): Promise<Records> {
  const reasons: Record<string, number> = {};
  const logged: Record<string, number> = {};
  const count = (of: Record<string, number>, key: string) => {
    of[key] = (of[key] ?? 0) + 1;
  };
  const look = (line: string, where: string) => {
    const found = SECRETS.exec(line);
    if (found)
      ledger.wrong(
        `a secret in the ${where}`,
        '-',
        `…${line.slice(Math.max(0, found.index - 100), found.index + 10)}…`,
      );
  };
  for await (const line of createInterface(createReadStream(join(site.stack.folder, 'audit.jsonl')))) {
    look(line, 'audit');
    const { event, outcome, reason } = JSON.parse(line) as Record<string, string>;
    count(reasons, `${event} ${outcome} ${reason}`);
    if (BUGS.test(reason ?? '')) ledger.wrong(`${reason} in the audit`, '-', line);
  }
  for (const { name, stderr, stdout } of outputs)
    for (const line of [...stderr.split('\n'), ...stdout.split('\n')].filter(Boolean)) {
      look(line, `log of ${name}`);
      if (!line.startsWith('{')) continue;
      const { level, message } = JSON.parse(line) as { level: string | number; message: string };
      if (!['info', 'debug', 30, 20].includes(level)) count(logged, `${level}: ${message}`);
    }
  return { reasons, logged };
}
