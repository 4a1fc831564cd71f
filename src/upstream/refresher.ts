import { identityKey } from '../core/identity.ts';
import type { MaybePromise } from '../core/maybe-promise.ts';
import type { Audit, Tools } from '../core/ports.ts';
import type { OpenedGrant } from './opened-grants.ts';
import type { Provider } from './provider.ts';
import { REFRESH_LIMITS, type RefreshEnd, refreshGrant, type RefreshLimits } from './refresh-grant.ts';
import { type Refreshed, RefreshMemory } from './refresh-memory.ts';
import { RefreshReport } from './refresh-report.ts';
import { judge, makeDo, NEVER, REVOKED, type UpstreamAnswer } from './upstream-answer.ts';
import type { GrantKey, Vault } from './vault/vault.ts';

export interface Refresher {
  /** Whether there is a provider of that name. */
  knows(provider: string): boolean;
  /**
   * A token of this user that may be used now; at once when it is at hand. It may be up to `CONFIRM_MS` ago that the
   * vault held it: for so long a disconnect, or a newer token, on another replica goes unnoticed.
   * @param provider one that `knows` knows
   * @throws only the abort reason of `signal`
   */
  token(
    user: Pick<GrantKey, 'issuer' | 'subject'>,
    provider: string,
    signal: AbortSignal,
  ): MaybePromise<UpstreamAnswer>;
  /** A backend has refused the token of that generation: it is refreshed before it is used again. Never rejects. */
  invalidate(refused: GrantKey & { readonly generation: number }): Promise<void>;
  /** Forgets what is in memory about a grant; for whoever connects or disconnects an account, after the vault knows. */
  forget(key: GrantKey): void;
  /** Ends when no refresh is under way any more, so that no rotated token is lost; close the vault after it. */
  close(): Promise<void>;
}

export interface RefresherParts {
  readonly vault: Vault;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly tools: Tools;
  readonly audit: Audit;
  /** Tells this process from others; stands in leases. */
  readonly ownerId: string;
  /** What it shares with others of this process; default: one of its own. */
  readonly memory?: RefreshMemory;
  /** Shorter ones are for tests. */
  readonly limits?: Partial<RefreshLimits>;
}

/** How long a grant in memory is used without another look into the vault, in milliseconds. */
export const CONFIRM_MS = 5_000;
/** From half of it on, the look is made in the background. */
const LOOK_AFTER_MS = CONFIRM_MS / 2;
const READ_LIMIT_MS = 3_000;
interface Upstream {
  /** Names it in memory. */
  readonly id: string;
  readonly provider: Provider;
  readonly report: RefreshReport;
}

/** A grant and where it is kept in memory. */
interface Place {
  readonly key: GrantKey;
  readonly name: string;
  readonly upstream: Upstream;
}

/** Keeps the tokens of users at providers fresh (contract §3), by one refresh at a time per grant in all replicas. */
export function createRefresher(parts: RefresherParts): Refresher {
  const { vault, tools, audit, ownerId } = parts;
  const { clock, log } = tools;
  const limits: RefreshLimits = { ...REFRESH_LIMITS, ...parts.limits };
  const memory = parts.memory ?? new RefreshMemory(tools, limits);
  const { opened, backOff, rests, kept, looks, refreshes, trouble } = memory;
  const upstreams = new Map<string, Upstream>();
  for (const [name, provider] of parts.providers) {
    // Names of providers hold no spaces (contract §3), so that no two grants share a place.
    const id = `${name} ${memory.numberOf(provider)}`;
    upstreams.set(name, { id, provider, report: new RefreshReport(name, tools, audit) });
  }

  /** @throws VaultError, or the abort reason of `signal` */
  const look = ({ key, name, upstream }: Place, signal?: AbortSignal): Promise<OpenedGrant | undefined> => {
    const began = memory.epoch;
    const job = async (limit: AbortSignal): Promise<OpenedGrant | undefined> => {
      const lookedMs = clock.nowMs();
      const grant = await vault.read(key, limit);
      const entry = grant && opened.take(name, grant, lookedMs, clock.nowMs(), upstream.provider.refreshBeforeMs);
      if (!grant || began !== memory.epoch) opened.delete(name);
      return entry;
    };
    return looks.run(`${began} ${name}`, READ_LIMIT_MS, job, signal);
  };

  /** @param signal ends the wait of this caller; the refresh goes on */
  const refresh = ({ key, name, upstream }: Place, seen: number, signal?: AbortSignal): Promise<Refreshed> => {
    const { provider, report } = upstream;
    const job = async (waiting: AbortSignal): Promise<Refreshed> => {
      const [began, startedMs] = [memory.epoch, performance.now()];
      const end = await refreshGrant(
        {
          vault,
          provider,
          ownerId,
          limits,
          log,
          clock,
          vaultFailedMs: trouble.failedMs,
          kept,
          waited: (ms) => report.waited(ms),
          leaving: memory.leaving,
          closing: memory.closing,
        },
        key,
        seen,
        waiting,
      );
      report.ended(key, end, performance.now() - startedMs);
      const entry = settle(name, provider, end);
      if (began !== memory.epoch) opened.delete(name);
      return { end, ...(entry && { entry }) };
    };
    const wait = () => refreshes.run(name, limits.waitMs, (waiting) => memory.follow(job(waiting)), signal);
    const { tracer } = tools;
    if (!tracer) return wait();
    const attributes = { 'mcp_identity.provider': key.provider };
    return Promise.resolve(
      signal ? tracer.step('refresh', attributes, wait) : tracer.apart('refresh', attributes, wait),
    );
  };

  /** What a refresh leaves behind in memory. */
  const settle = (name: string, { refreshBeforeMs }: Provider, end: RefreshEnd): OpenedGrant | undefined => {
    const nowMs = clock.nowMs();
    if (end.kind === 'failed') {
      if (end.reason === 'vault_unavailable') trouble.noted();
      else if (end.reason !== 'busy') backOff.fail(name, nowMs, end.reason, end.retryAfterSeconds);
      return undefined;
    }
    if (end.kind === 'refreshed') {
      const entry = opened.stored(name, end.grant, nowMs, refreshBeforeMs);
      // A token that is over as soon as it is here: the next one will hardly be better.
      if (nowMs >= entry.waitAtMs) backOff.fail(name, nowMs, 'malformed');
      else backOff.clear(name);
      return entry;
    }
    backOff.clear(name);
    if (end.kind === 'superseded') return opened.take(name, end.grant, end.lookedMs, nowMs, refreshBeforeMs);
    opened.delete(name);
    return undefined;
  };

  const answer = (
    place: Place,
    entry: OpenedGrant,
    nowMs: number,
    signal: AbortSignal,
  ): MaybePromise<UpstreamAnswer> => {
    const { provider } = place.upstream;
    const verdict = judge(entry, provider, nowMs);
    if (verdict && (verdict.kind !== 'token' || nowMs < entry.refreshAtMs || !entry.grant.refreshToken)) return verdict;
    const wait = backOff.waits(place.name, nowMs);
    if (verdict) {
      if (!wait) void refresh(place, entry.grant.generation);
      return verdict;
    }
    if (wait) return makeDo(entry, nowMs, wait.reason, wait.seconds);
    return refresh(place, entry.grant.generation, signal).then(({ end, entry: fresh = entry }) => {
      const laterMs = clock.nowMs();
      if (end.kind === 'gone') return end.why === 'revoked' ? REVOKED : NEVER;
      const next = backOff.waits(place.name, laterMs);
      if (end.kind === 'failed') return makeDo(entry, laterMs, end.reason, next?.seconds ?? 1);
      return judge(fresh, provider, laterMs) ?? makeDo(fresh, laterMs, next?.reason ?? 'busy', next?.seconds ?? 1);
    });
  };

  return {
    knows: (provider) => upstreams.has(provider),

    token({ issuer, subject }, provider, signal) {
      const upstream = upstreams.get(provider);
      if (!upstream) throw new Error(`no provider is named ${provider}`);
      const place = placeOf({ issuer, subject, provider }, upstream);
      const entry = opened.get(place.name);
      const nowMs = clock.nowMs();
      const ageMs = entry ? nowMs - entry.confirmedMs : CONFIRM_MS;
      if (entry && ageMs >= 0 && ageMs < CONFIRM_MS) {
        if (ageMs >= LOOK_AFTER_MS) look(place).catch(() => {}); // whoever has to wait for a look hears about it
        return answer(place, entry, nowMs, signal);
      }
      return look(place, signal).then(
        (found) => (found ? answer(place, found, clock.nowMs(), signal) : NEVER),
        (error: unknown) => trouble.answer(error),
      );
    },

    async invalidate({ issuer, subject, provider, generation }) {
      const upstream = upstreams.get(provider);
      if (!upstream) return;
      const place = placeOf({ issuer, subject, provider }, upstream);
      try {
        const known = opened.get(place.name);
        // Another replica may have refreshed and injected what this one has not seen yet.
        const entry = known?.grant.generation === generation ? known : await look(place);
        if (entry?.grant.generation !== generation || entry.grant.stale) return;
        if (!rests.over(place.name, entry.grant, clock.nowMs())) return;
        opened.markStale(place.name, generation);
        await vault.markStale(place.key, generation);
      } catch (error) {
        log.warn('a refused token could not be marked', { provider, error: (error as Error).message });
      }
    },

    forget(key) {
      memory.epoch++;
      const upstream = upstreams.get(key.provider);
      if (!upstream) return;
      const { name } = placeOf(key, upstream);
      opened.delete(name);
      backOff.clear(name);
      rests.clear(name);
    },

    close: () => memory.close(),
  };
}

function placeOf(key: GrantKey, upstream: Upstream): Place {
  return { key, name: `${upstream.id} ${identityKey(key)}`, upstream };
}
