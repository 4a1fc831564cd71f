import type { Log } from '../core/ports.ts';
import type { Secret } from '../core/secret.ts';
import type { Refresher } from '../upstream/refresher.ts';
import { createClaimInjection } from './claim-injection.ts';
import { createHeaderInjection } from './header-injection.ts';
import type { OutgoingAuth } from './schema.ts';
import type { OutgoingStrategy } from './strategy.ts';
import { createUnauthenticated } from './unauthenticated.ts';
import { createUpstreamInject } from './upstream-inject.ts';

/** What strategies are built from; only the composition root fills it. */
export interface StrategyParts {
  readonly secrets: ReadonlyMap<string, Secret>;
  /** Undefined where no upstream providers are configured. */
  readonly refresher: Refresher | undefined;
  readonly log: Log;
}

/** One line per strategy; the config word is the file name. */
export function createStrategy(policy: OutgoingAuth, parts: StrategyParts): OutgoingStrategy {
  switch (policy.type) {
    case 'unauthenticated':
      return createUnauthenticated();
    case 'header_injection':
      return createHeaderInjection(policy, parts.secrets);
    case 'claim_injection':
      return createClaimInjection(policy);
    case 'upstream_inject':
      return createUpstreamInject(policy, parts.refresher, parts.log);
    default:
      throw new Error(`the strategy ${policy.type} is not available in this version`);
  }
}
