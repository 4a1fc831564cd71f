import type { Tools } from '../core/ports.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import type { HeaderFields } from '../core/request-facts.ts';
import { assertCredentialHeader, readCredentialHeader } from './credential-header.ts';
import { ABSENT, type IncomingMethod, type Outcome } from './method.ts';
import type { IncomingMethodConfig } from './schema.ts';
import { tokenlessUser } from './tokenless-user.ts';
import { createTrustedPeers } from './trusted-peers.ts';

export type TrustedProxyConfig = Extract<IncomingMethodConfig, { type: 'trusted_proxy' }>;

const UNREADABLE = refuse('authorization_malformed');

/**
 * A proxy in front of Envoy has authenticated the caller and says who it is in headers (RFC 9700 4.13: it must remove
 * those that its own clients send). They count from `trustedPeers` only; from anyone else they are absent.
 *
 * Header values are UTF-8, as they are: a proxy that joins several values with a comma means one text here. A claim
 * header that is empty says nothing.
 * @throws when a header cannot carry a credential, or `trustedPeers` holds a malformed address
 */
export function createTrustedProxy(name: string, config: TrustedProxyConfig, tools: Tools): IncomingMethod {
  const { userHeader } = config;
  const claimHeaders = Object.entries(config.claimHeaders);
  assertCredentialHeader(userHeader, `incomingAuth.${name}.userHeader`);
  for (const [claim, header] of claimHeaders) {
    assertCredentialHeader(header, `incomingAuth.${name}.claimHeaders.${claim}`);
  }
  const trusts = createTrustedPeers(config.trustedPeers, `incomingAuth.${name}.trustedPeers`, tools.log);
  const method = { name, authMethod: 'trusted_proxy' as const, attributeClaims: config.attributeClaims };

  return {
    name,
    type: 'trusted_proxy',
    issuer: undefined,
    scheme: undefined,
    credentialHeaders: [...new Set([userHeader, ...claimHeaders.map(([, header]) => header)])],
    audience: undefined,

    authenticate({ headers, peer }) {
      if (!headers.has(userHeader) || !trusts(peer)) return ABSENT;
      const subject = readText(headers, userHeader);
      if (typeof subject !== 'string') return rejected(subject ?? UNREADABLE);
      const claims: [string, string][] = [];
      for (const [claim, header] of claimHeaders) {
        const value = readText(headers, header);
        if (typeof value === 'string') claims.push([claim, value]);
        else if (value !== undefined) return rejected(value);
      }
      const user = tokenlessUser(subject, Object.fromEntries(claims), method);
      return user ? { kind: 'identified', user } : rejected(UNREADABLE);
    },
  };
}

function rejected(refusal: Refusal): Outcome {
  return { kind: 'rejected', refusal };
}

/** Visible ASCII and spaces need no decoding. */
const ASCII = /^[\x20-\x7e]+$/;

/** UTF-8 without control characters; undefined when there is no value or an empty one. */
function readText(headers: HeaderFields, name: string): string | Refusal | undefined {
  const value = readCredentialHeader(headers, name);
  if (value === '') return undefined;
  if (typeof value !== 'string' || ASCII.test(value)) return value;
  try {
    // HeaderFields holds one character per byte. A replacement character could make two people one.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(value, 'latin1'));
    return /\p{Cc}/u.test(text) ? UNREADABLE : text;
  } catch {
    return UNREADABLE;
  }
}
