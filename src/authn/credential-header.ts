import { isCarried, normalise } from '../core/header-names.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import type { HeaderFields } from '../core/request-facts.ts';

const EMPTY = refuse('authorization_malformed');
const REPEATED = refuse('authorization_repeated');

/**
 * The one value of a header that carries a credential.
 * @returns undefined when the request has none; a refusal when it is empty or there is more than one (contract §5)
 */
export function readCredentialHeader(headers: HeaderFields, name: string): string | Refusal | undefined {
  const first = headers.get(name);
  if (first === undefined) return undefined;
  if (headers.all(name).length > 1) return REPEATED;
  return first.trim() === '' ? EMPTY : first;
}

/**
 * Refuses headers that cannot carry a credential of their own: Authorization, which other methods read, and those that
 * reach every backend (contract §6), because the credential would arrive there too.
 * @param place of the name in the config file
 * @throws with a sentence for the operator
 */
export function assertCredentialHeader(name: string, place: string): void {
  const plain = normalise(name);
  if (plain === 'authorization') throw new Error(`${place}: Authorization is read by jwt, introspection and basic`);
  if (isCarried(plain)) throw new Error(`${place}: ${name} is forwarded to every backend, and the credential with it`);
}
