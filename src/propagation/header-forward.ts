import type { HeaderPair } from '../core/header-edits.ts';
import { headerSecret } from '../core/header-secret.ts';
import type { Secret } from '../core/secret.ts';
import type { HeaderForward } from './schema.ts';

/**
 * Static headers of a route, made ready once.
 * @throws when a named secret does not exist or cannot stand in a header
 */
export function prepareHeaderForward(policy: HeaderForward, secrets: ReadonlyMap<string, Secret>): HeaderPair[] {
  return [
    ...Object.entries(policy.plaintext).map(([name, value]): HeaderPair => [name.toLowerCase(), value]),
    ...Object.entries(policy.secrets).map(
      ([name, secret]): HeaderPair => [name.toLowerCase(), headerSecret(secrets, secret)],
    ),
  ];
}
