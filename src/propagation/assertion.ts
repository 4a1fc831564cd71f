import { createHash, randomUUID } from 'node:crypto';
import type { Clock } from '../core/ports.ts';
import type { User } from '../core/identity.ts';
import { propagated } from './forwarded-user.ts';
import type { IdentityPropagation } from './schema.ts';
import type { Sign, Signers } from './signers.ts';

/** How long an assertion is valid, in seconds (contract §4). */
const LIFE_SECONDS = 60;

/** What an assertion is about, before it is dated and signed. */
export type AssertionClaims = Readonly<Record<string, unknown>>;

export interface AssertionParts {
  readonly signers: Signers;
  /** `iss`. */
  readonly publicUrl: string;
  readonly clock: Clock;
}

/** Signed proof of who the user is, for one backend, method and resource. */
export interface Assertions {
  /** Lower-case name of the header, which every mode writes: only there the final body can be covered. */
  readonly header: string;
  /** @param method HTTP method of the request */
  claims(user: User, method: string): AssertionClaims;
  /** @param body the bytes the backend gets, where they are at hand */
  sign(claims: AssertionClaims, body?: Buffer): string;
}

/**
 * @returns undefined where the route signs nothing
 * @throws when the route wants a kind of signature that no key is configured for; validation says so first (V-12)
 */
export function prepareAssertions(
  policy: IdentityPropagation,
  { backend, resource }: { readonly backend: string; readonly resource?: string | undefined },
  parts: AssertionParts,
): Assertions | undefined {
  if (policy.sign === 'none') return undefined;
  const sign = signerFor(policy.sign, backend, parts.signers);
  return {
    header: `${policy.headersPrefix}-Assertion`.toLowerCase(),
    claims: (user, method) => ({
      ...propagated(user, policy),
      iss: parts.publicUrl,
      aud: backend,
      sub: user.subject,
      htm: method,
      ...(resource === undefined ? {} : { htu: resource }),
    }),
    sign: (claims, body) => sign(dated(claims, parts.clock, body)),
  };
}

/** @throws when no current key of that kind is configured */
export function signerFor(kind: 'jws' | 'hmac', backend: string, signers: Signers): Sign {
  const sign = kind === 'jws' ? signers.jws : signers.hmac?.(backend);
  if (!sign) throw new Error(`signing.current.${kind} names no key`);
  return sign;
}

/** Every copy gets a `jti` of its own, so that a backend that remembers them can take both. */
export function dated(claims: AssertionClaims, clock: Clock, body: Buffer | undefined): AssertionClaims {
  const iat = Math.floor(clock.nowMs() / 1000);
  return {
    ...claims,
    iat,
    exp: iat + LIFE_SECONDS,
    jti: randomUUID(),
    ...(body === undefined ? {} : { body_sha256: createHash('sha256').update(body).digest('base64url') }),
  };
}
