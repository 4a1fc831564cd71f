import { createMetrics } from '../observe/metrics.ts';
import type { Tools } from '../core/ports.ts';
import { Secret } from '../core/secret.ts';
import { OpenedGrants } from '../upstream/opened-grants.ts';
import type { Provider } from '../upstream/provider.ts';
import type { Refresher } from '../upstream/refresher.ts';
import { judge, NEVER, type UpstreamAnswer } from '../upstream/upstream-answer.ts';
import type { GrantKey, Vault } from '../upstream/vault/vault.ts';
import { PLACEHOLDER } from './dry-answers.ts';
import type { Notebook } from './finding.ts';

export interface DryRefresherParts {
  readonly providers: ReadonlyMap<string, Provider>;
  /** Undefined: nobody looks into it. */
  readonly vault: Pick<Vault, 'read'> | undefined;
  readonly tools: Tools;
  readonly notebook: Notebook;
}

const ASSUMED: UpstreamAnswer = { kind: 'token', accessToken: new Secret(PLACEHOLDER), generation: 0 };

/** Says what the refresher would do with a grant, by the same judgement, and does none of it. */
export function createDryRefresher({ providers, vault, tools, notebook }: DryRefresherParts): Refresher {
  const opened = new OpenedGrants(createMetrics());

  const look = async (
    from: Pick<Vault, 'read'>,
    key: GrantKey,
    provider: Provider,
    signal: AbortSignal,
  ): Promise<UpstreamAnswer> => {
    const nowMs = tools.clock.nowMs();
    let grant;
    try {
      grant = await from.read(key, signal);
    } catch (error) {
      signal.throwIfAborted();
      notebook.step('vault', 'note', `the grant could not be read: ${(error as Error).message}`);
      return { kind: 'unavailable', reason: 'vault_unavailable', retryAfterSeconds: 1 };
    }
    if (!grant) {
      notebook.step('vault', 'note', `this user has no account at ${provider.name}`);
      return NEVER;
    }
    const entry = opened.take(provider.name, grant, nowMs, nowMs, provider.refreshBeforeMs);
    const verdict = judge(entry, provider, nowMs);
    const end = Number.isFinite(entry.endMs) ? `good until ${new Date(entry.endMs).toISOString()}` : 'of unknown life';
    if (verdict === undefined) {
      notebook.assume('vault', `would refresh the token at ${provider.name}; taken as if it came`, false);
      return ASSUMED;
    }
    if (verdict.kind === 'unconnected')
      notebook.step('vault', 'note', `the account at ${provider.name} has to be connected anew: ${verdict.why}`);
    else {
      notebook.step('vault', 'passed', `the account at ${provider.name} is connected; its token is ${end}`);
      if (nowMs >= entry.refreshAtMs && grant.refreshToken)
        notebook.step('vault', 'note', 'would refresh it in the background; the call goes on with the old one');
    }
    return verdict;
  };

  return {
    knows: (name) => providers.has(name),
    token({ issuer, subject }, name, signal) {
      const provider = providers.get(name);
      if (!provider) throw new Error(`no provider is named ${name}`);
      if (vault) return look(vault, { issuer, subject, provider: name }, provider, signal);
      notebook.assume(
        'vault',
        `the account at ${name} was not looked up; taken as connected, with a good token (\`--vault\` looks)`,
        false,
      );
      return ASSUMED;
    },
    invalidate: async () => {},
    forget: () => {},
    close: async () => {},
  };
}
