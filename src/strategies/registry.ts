import type { Tools } from '../core/ports.ts';
import type { Secret } from '../core/secret.ts';
import type { Refresher } from '../upstream/refresher.ts';
import { type AwsSts, createAwsSts } from './aws-sts.ts';
import { createClaimInjection } from './claim-injection.ts';
import { createHeaderInjection } from './header-injection.ts';
import type { OutgoingAuth } from './schema.ts';
import type { OutgoingStrategy } from './strategy.ts';
import { createTokenExchange, type TokenExchanges } from './token-exchange.ts';
import { createUnauthenticated } from './unauthenticated.ts';
import { createUpstreamInject } from './upstream-inject.ts';

/** What strategies are built from; only the composition root fills it. */
export interface StrategyParts {
  readonly secrets: ReadonlyMap<string, Secret>;
  /** Undefined where no upstream providers are configured. */
  readonly refresher: Refresher | undefined;
  readonly exchanges: TokenExchanges;
  readonly aws: AwsSts;
  readonly tools: Tools;
}

/**
 * One line per strategy; the config word is the file name.
 * @param soleIssuer of the tokens of the route; undefined where there are several, or none
 */
export function createStrategy(policy: OutgoingAuth, parts: StrategyParts, soleIssuer?: string): OutgoingStrategy {
  const strategy = create(policy, parts, soleIssuer);
  const { tracer } = parts.tools;
  if (!tracer) return strategy;
  // A credential that has to be asked for is a step of the trace; one that is at hand is none.
  return {
    credential: (identity, signal) =>
      tracer.step(`credential ${policy.type}`, {}, () => strategy.credential(identity, signal)),
  };
}

function create(policy: OutgoingAuth, parts: StrategyParts, soleIssuer?: string): OutgoingStrategy {
  switch (policy.type) {
    case 'unauthenticated':
      return createUnauthenticated();
    case 'header_injection':
      return createHeaderInjection(policy, parts.secrets);
    case 'claim_injection':
      return createClaimInjection(policy);
    case 'upstream_inject':
      return createUpstreamInject(policy, parts.refresher, parts.tools.log);
    case 'token_exchange':
      return createTokenExchange(policy, parts.exchanges, parts.refresher, parts.tools);
    default:
      return createAwsSts(policy, parts.aws, parts.refresher, parts.tools, soleIssuer);
  }
}
