import type { HeaderEdits } from '../core/header-edits.ts';
import { Secret } from '../core/secret.ts';
import { forwardedHeaderNames } from '../propagation/forwarded-user.ts';
import type { RoutePolicy } from '../policy/route-policy.ts';
import type { Sent } from './finding.ts';

export interface ShownHeader {
  readonly name: string;
  /** Undefined where it must not be seen. */
  readonly value: string | undefined;
}

/**
 * What a backend gets, for the eyes of an operator. Shown is only what is known to be harmless: plain values of the
 * policy and what it says about the user. Tokens, secrets, assertions and whatever came from the client are not.
 */
export function shownHeaders(edits: HeaderEdits, policy: RoutePolicy): ShownHeader[] {
  const plain = harmless(policy);
  return [...edits.written()].map(([name, value]) => ({
    name,
    value: value instanceof Secret || !plain.has(name) ? undefined : Buffer.from(value, 'latin1').toString('utf8'),
  }));
}

function harmless(policy: RoutePolicy): ReadonlySet<string> {
  const { headerForward, identityPropagation, outgoingAuth } = policy;
  const names = [':authority', ':path', 'accept-encoding', 'content-length', ...Object.keys(headerForward.plaintext)];
  if (outgoingAuth.type === 'claim_injection') names.push(...Object.values(outgoingAuth.claimInjection.claims));
  if (outgoingAuth.type === 'header_injection') names.push(outgoingAuth.headerInjection.headerName);
  if (identityPropagation) names.push(...forwardedHeaderNames({ ...identityPropagation, sign: 'none' }));
  return new Set(names.map((name) => name.toLowerCase()));
}

/** Headers whose values prove something. */
const CREDENTIALS = /^(authorization|proxy-authorization|cookie|dpop)$|[-_](key|token|secret)$/;

/** All that must not be seen: secrets of the configuration, credentials of the request and their parts. */
export function secretsIn(config: unknown, { headers }: Sent, credentialHeaders: readonly string[]): Set<string> {
  const found = new Set<string>(secretValues(config));
  for (const [name, value] of headers) {
    if (!CREDENTIALS.test(name) && !credentialHeaders.includes(name)) continue;
    for (const part of [value, ...value.split(/[\s,;]+/), ...value.split(/[\s.]+/)]) found.add(part);
  }
  return found;
}

function* secretValues(value: unknown): Iterable<string> {
  if (value instanceof Secret) yield value.reveal();
  else if (typeof value === 'object' && value !== null)
    for (const inner of Object.values(value)) yield* secretValues(inner);
}

/** Shorter texts would stand for themselves in too many words. */
const MIN_LENGTH = 8;

/** The last guard: whatever else went wrong, none of these texts leaves. */
export function withoutSecrets(text: string, secrets: Iterable<string>): string {
  let clean = text;
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) {
    if (secret.length < MIN_LENGTH) continue;
    clean = clean.replaceAll(secret, '[secret]').replaceAll(JSON.stringify(secret).slice(1, -1), '[secret]');
  }
  return clean;
}
