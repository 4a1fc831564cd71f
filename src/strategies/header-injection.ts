import { headerSecret } from '../core/header-secret.ts';
import type { Secret } from '../core/secret.ts';
import type { OutgoingAuthOf } from './schema.ts';
import type { OutgoingStrategy, StrategyOutcome } from './strategy.ts';

/**
 * The same header for every caller.
 * @throws when the named secret does not exist; validation says so first (V-12)
 */
export function createHeaderInjection(
  policy: OutgoingAuthOf<'header_injection'>,
  secrets: ReadonlyMap<string, Secret>,
): OutgoingStrategy {
  const { headerName, secret, value } = policy.headerInjection;
  const content = secret === undefined ? (value as string) : headerSecret(secrets, secret);
  const outcome: StrategyOutcome = { kind: 'write', headers: [[headerName.toLowerCase(), content]], credential: {} };
  return { credential: () => outcome };
}
