import { isCarried, normalise } from '../core/header-names.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import type { HeaderFields } from '../core/request-facts.ts';

const REPEATED = refuse('authorization_repeated');

/**
 * The one value of a header that carries a credential, without the white space around it; it may be empty.
 * @returns undefined when the request has none; a refusal when there is more than one (contract §5)
 */
export function readCredentialHeader(headers: HeaderFields, name: string): string | Refusal | undefined {
  const first = headers.get(name);
  if (first === undefined) return undefined;
  return headers.all(name).length > 1 ? REPEATED : withoutOws(first);
}

/**
 * RFC 9110 5.6.3: spaces and tabs only. `trim()` would take the last byte of some UTF-8 letters for a space, and
 * a regular expression would need quadratic time for long runs of spaces.
 */
export function withoutOws(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isOws(value.charCodeAt(start))) start++;
  while (end > start && isOws(value.charCodeAt(end - 1))) end--;
  return value.slice(start, end);
}

function isOws(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/**
 * Why a header cannot carry a credential of its own: Authorization and DPoP, which other methods read, and those that
 * reach every backend (contract §6), because the credential would arrive there too.
 * @returns a sentence for the operator, undefined when it can
 */
export function credentialHeaderFault(name: string): string | undefined {
  const plain = normalise(name);
  if (plain === 'authorization') return 'Authorization is read by jwt, introspection and basic';
  if (plain === 'dpop') return 'DPoP is read by jwt and introspection';
  return isCarried(plain) ? `${name} is forwarded to every backend, and the credential with it` : undefined;
}

/**
 * @param place of the name in the config file
 * @throws when the header cannot carry a credential
 */
export function assertCredentialHeader(name: string, place: string): void {
  const fault = credentialHeaderFault(name);
  if (fault !== undefined) throw new Error(`${place}: ${fault}`);
}
