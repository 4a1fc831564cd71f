import { whenReady } from '../core/maybe-promise.ts';
import type { Log } from '../core/ports.ts';
import { refuse } from '../core/refusal.ts';
import { Secret } from '../core/secret.ts';
import type { UpstreamToken } from '../upstream/opened-grants.ts';
import type { Refresher } from '../upstream/refresher.ts';
import type { GrantKey } from '../upstream/vault/vault.ts';
import type { OutgoingAuthOf } from './schema.ts';
import type { OutgoingStrategy, StrategyOutcome } from './strategy.ts';

/** What comes back when a backend has refused the injected token. */
interface RefusedToken extends GrantKey {
  readonly strategy: 'upstream_inject';
  readonly generation: number;
}

/**
 * RFC 6750 2.1 has `1*(ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/") *"="`. Some providers issue tokens with `!`,
 * `|` or `:` in them (Salesforce, for one), which every backend of theirs expects back; quotes, commas, spaces and all
 * that is not visible ASCII could be read as something else than one credential.
 */
const CREDENTIAL = /^[A-Za-z0-9\-._~+/!|:]+=*$/;

const ANONYMOUS_OUTCOME: StrategyOutcome = { kind: 'refused', refusal: refuse('login_required') };

/**
 * The user's own token at a provider, always fresh (R11, R14, R15). Never another user's, never for anonymous callers.
 * @throws when there is no such provider; validation says so first (V-01, V-02)
 */
export function createUpstreamInject(
  policy: OutgoingAuthOf<'upstream_inject'>,
  refresher: Refresher | undefined,
  log: Log,
): OutgoingStrategy {
  const { providerName: provider, onMissing, unconnected } = policy.upstreamInject;
  if (!refresher?.knows(provider)) throw new Error(`upstreamInject names ${provider}, which is not available`);
  const missing: StrategyOutcome = { kind: 'unconnected', provider, onMissing, unconnected };
  /** A token object belongs to one user, provider and generation, and so does what is made of it. */
  const prepared = new WeakMap<UpstreamToken, StrategyOutcome>();

  const written = ({ accessToken, generation }: UpstreamToken, issuer: string, subject: string): StrategyOutcome => {
    const text = accessToken.reveal();
    if (!CREDENTIAL.test(text)) {
      log.error('the provider issued a token that cannot be a Bearer credential', { provider });
      return {
        kind: 'refused',
        refusal: refuse('upstream_unavailable', { detail: 'unusable_token', retryAfterSeconds: 60 }),
      };
    }
    const invalidate: RefusedToken = { strategy: 'upstream_inject', issuer, subject, provider, generation };
    return { kind: 'write', headers: [['authorization', new Secret(`Bearer ${text}`)]], credential: { invalidate } };
  };

  return {
    credential(identity, signal) {
      if (identity.kind === 'anonymous') return ANONYMOUS_OUTCOME;
      const { issuer, subject } = identity;
      return whenReady(refresher.token({ issuer, subject }, provider, signal), (answer) => {
        if (answer.kind === 'unconnected') return missing;
        if (answer.kind === 'unavailable') {
          const { reason: detail, retryAfterSeconds } = answer;
          return { kind: 'refused', refusal: refuse('upstream_unavailable', { detail, retryAfterSeconds }) };
        }
        let outcome = prepared.get(answer);
        if (!outcome) {
          outcome = written(answer, issuer, subject);
          prepared.set(answer, outcome);
        }
        return outcome;
      });
    },
  };
}

/** What a plan carries back to us; anything else is another strategy's. */
export function refusedToken(what: unknown): RefusedToken | undefined {
  const { strategy } = (what ?? {}) as { strategy?: unknown };
  return strategy === 'upstream_inject' ? (what as RefusedToken) : undefined;
}
