import { loadConfig } from '../config/load.ts';
import { type Log, type Metrics, systemClock } from '../core/ports.ts';
import { openStoredGrants, type Revoked, type StoredGrants } from '../upstream/connect-grants.ts';
import type { ListedGrant, UnreadableGrant } from '../upstream/vault/vault.ts';
import { GRANTS_HELP, type GrantsOptions, readGrantsOptions } from './grants-options.ts';
import { type Io, type Output, processIo } from './io.ts';
import { printProblems, visible } from './report.ts';

type Listed = ListedGrant | UnreadableGrant;

/** Lists or ends what users have connected; the exit code tells whether it could be done. */
export async function grants(argv: readonly string[], io: Io = processIo()): Promise<number> {
  const options = readGrantsOptions(argv);
  if (options === 'help') {
    io.stdout.write(GRANTS_HELP);
    return 0;
  }
  if ('wrong' in options) {
    io.stderr.write(`grants: ${options.wrong}\n\n${GRANTS_HELP}`);
    return 2;
  }
  const loaded = loadConfig(options.config, io.env);
  if (!loaded.ok) {
    printProblems(loaded.problems, io.stderr, io);
    return 1;
  }
  let stored: StoredGrants | undefined;
  try {
    stored = await openStoredGrants(loaded.config, {
      log: warningsTo(io.stderr),
      metrics: NO_METRICS,
      clock: systemClock,
    });
    return await (options.action === 'list' ? list(stored, options, io) : revoke(stored, options, io));
  } catch (error) {
    io.stderr.write(`grants: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await stored?.close();
  }
}

async function list(stored: StoredGrants, { filter, json }: GrantsOptions, io: Io): Promise<number> {
  let count = 0;
  for await (const listed of stored.list(filter)) {
    count++;
    io.stdout.write(json ? `${JSON.stringify(withTimes(listed))}\n` : `${describe(listed)}\n`);
  }
  if (!json) io.stdout.write(`${counted(count)}\n`);
  return 0;
}

async function revoke(stored: StoredGrants, options: GrantsOptions, io: Io): Promise<number> {
  const wanted = new Set(options.records);
  const byName = wanted.size > 0;
  // Known before anything is deleted: a store must not change under the hands of who walks through it.
  const found: Listed[] = [];
  let unreadable = 0;
  for await (const listed of stored.list(options.filter)) {
    if (byName ? wanted.delete(listed.record) : listed.kind === 'grant') found.push(listed);
    else if (!byName) unreadable++;
  }
  for (const listed of found) {
    const { existed, revocation } = await stored.revoke(listed, !options.local);
    const { record, provider } = listed;
    const told = { record, provider, deleted: existed, revocation };
    io.stdout.write(
      options.json
        ? `${JSON.stringify(told)}\n`
        : `${nameOf(listed)}: ${existed ? 'deleted' : 'was gone'}; ${SAID[revocation] ?? `the provider could not be told (${revocation})`}\n`,
    );
  }
  for (const record of wanted) io.stderr.write(`grants: there is no record ${visible(record)}\n`);
  if (unreadable > 0)
    io.stderr.write(
      `grants: ${counted(unreadable)} of unknown users cannot be opened; see \`grants list\`, and use --record\n`,
    );
  if (!options.json) io.stdout.write(`${counted(found.length)}\n`);
  return found.length > 0 && wanted.size === 0 ? 0 : 1;
}

const SAID: Readonly<Partial<Record<Revoked['revocation'], string>>> = {
  revoked: 'revoked at the provider',
  unsupported: 'the provider has no revocation endpoint',
  not_asked: 'the provider was not told',
  none: 'there was nothing to tell the provider',
};

function nameOf(listed: Listed): string {
  const whose = listed.kind === 'grant' ? `${listed.subject} of ${listed.issuer}` : 'unknown user';
  return visible(`${listed.record}  ${listed.provider}  ${whose}`);
}

function describe(listed: Listed): string {
  if (listed.kind === 'unreadable') {
    const { fault, keyId } = listed;
    const why = fault === 'unknown_key' ? `its key ${keyId ?? ''} is not configured` : 'it is damaged';
    return `${nameOf(listed)}\n    cannot be opened: ${visible(why)}`;
  }
  const { connectedAtMs, refreshedAtMs, expiresAtMs, scopes, stale, refreshable } = listed;
  const facts = [
    `connected ${isoTime(connectedAtMs)}`,
    refreshedAtMs === undefined ? 'never refreshed' : `refreshed ${isoTime(refreshedAtMs)}`,
    expiresAtMs === undefined ? 'expiry unknown' : `expires ${isoTime(expiresAtMs)}`,
    ...(stale ? ['refused by a backend'] : []),
    ...(refreshable ? [] : ['cannot be refreshed']),
    `scopes: ${scopes.join(' ') || 'none'}`,
  ];
  return `${nameOf(listed)}\n    ${visible(facts.join(', '))}`;
}

/** The same for programs, with times in ISO 8601. */
function withTimes(listed: Listed): Record<string, unknown> {
  if (listed.kind === 'unreadable') return { ...listed };
  const { connectedAtMs, refreshedAtMs, expiresAtMs, requestedScopes, issuedBy, ...rest } = listed;
  return {
    ...rest,
    connectedAt: isoTime(connectedAtMs),
    refreshedAt: refreshedAtMs === undefined ? null : isoTime(refreshedAtMs),
    expiresAt: expiresAtMs === undefined ? null : isoTime(expiresAtMs),
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

function counted(count: number): string {
  return `${count} grant${count === 1 ? '' : 's'}`;
}

function warningsTo(output: Output): Log {
  const say = (message: string, fields?: Readonly<Record<string, unknown>>) =>
    void output.write(`${message}${fields ? ` ${JSON.stringify(fields)}` : ''}\n`);
  return { debug: () => {}, info: () => {}, warn: say, error: say };
}

/** Nobody scrapes a command. */
const NO_METRICS: Metrics = {
  counter: () => ({ inc: () => {} }),
  histogram: () => ({ observe: () => {} }),
  gauge: () => {},
};
