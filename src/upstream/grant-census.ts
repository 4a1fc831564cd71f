import { setTimeout as delay } from 'node:timers/promises';
import type { Tools } from '../core/ports.ts';
import { covers, isFrom } from './grant-life.ts';
import type { Provider } from './provider.ts';
import type { ListedGrant, UnreadableGrant, Vault } from './vault/vault.ts';

/** `reconnect`: only its user can help. `unused`: no provider of that name is configured. */
type GrantState = 'usable' | 'reconnect' | 'unreadable' | 'unused';

/** For providers that are not configured (any more): what a store holds must not make up labels. */
const UNCONFIGURED = 'unconfigured';

/** Milliseconds. Half a thousand grants a second cost about a hundredth of a core, however many there are. */
const PACE = { perGrantMs: 2, restMs: 60_000 };
/** Opened at one go, so that no request waits longer than for these. */
const SLICE = 25;

export interface CensusParts {
  readonly vault: Pick<Vault, 'list'>;
  readonly providers: ReadonlyMap<string, Pick<Provider, 'scopes' | 'issuedBy'>>;
  readonly tools: Tools;
  /** Others are for tests. */
  readonly pace?: typeof PACE;
}

/**
 * Counts the grants in the vault by provider and state: walk after walk in the background, at a steady slow pace. Whoever
 * reads the metrics gets the result of the last whole walk, and causes no look into the vault. With a million grants that
 * is about half an hour old.
 */
export function startGrantCensus({ vault, providers, tools, pace = PACE }: CensusParts): { close(): Promise<void> } {
  const { clock, log, metrics } = tools;
  const closing = new AbortController();
  const { signal } = closing;
  let counted: ReadonlyMap<string, number> | undefined;

  const walk = async (): Promise<ReadonlyMap<string, number>> => {
    const counts = new Map<string, number>();
    let seen = 0;
    for await (const listed of vault.list({}, signal)) {
      const provider = providers.get(listed.provider);
      const state = stateOf(listed, provider, clock.nowMs());
      const name = nameOf(provider ? listed.provider : UNCONFIGURED, state);
      counts.set(name, (counts.get(name) ?? 0) + 1);
      if (++seen % SLICE === 0) await pause(SLICE * pace.perGrantMs);
    }
    return counts;
  };
  const pause = (ms: number) => delay(ms, undefined, { signal, ref: false });

  /** Not before there is something to tell. */
  const register = (): void => {
    const gauge = (provider: string, state: GrantState) =>
      metrics.gauge(
        'mcp_identity_upstream_grants',
        'Grants in the vault',
        () => counted?.get(nameOf(provider, state)) ?? 0,
        { provider, state },
      );
    for (const provider of providers.keys())
      for (const state of ['usable', 'reconnect', 'unreadable'] as const) gauge(provider, state);
    gauge(UNCONFIGURED, 'unused');
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        const first = counted === undefined;
        counted = await walk();
        if (first) register();
      } catch (error) {
        if (!signal.aborted) log.warn('grants could not be counted', { error: (error as Error).message });
      }
      await pause(pace.restMs).catch(() => {});
    }
  };
  const running = run();
  return {
    close: () => {
      closing.abort();
      return running;
    },
  };
}

function nameOf(provider: string, state: GrantState): string {
  return `${state} ${provider}`;
}

function stateOf(
  listed: ListedGrant | UnreadableGrant,
  provider: Pick<Provider, 'scopes' | 'issuedBy'> | undefined,
  nowMs: number,
): GrantState {
  if (!provider) return 'unused';
  if (listed.kind === 'unreadable') return 'unreadable';
  if (!isFrom(listed, provider) || !covers(listed, provider.scopes)) return 'reconnect';
  const over = listed.stale || (listed.expiresAtMs !== undefined && listed.expiresAtMs <= nowMs);
  return over && !listed.refreshable ? 'reconnect' : 'usable';
}
