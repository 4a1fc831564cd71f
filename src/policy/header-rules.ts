import { normalise } from '../core/header-names.ts';
import { forwardedHeaderNames } from '../propagation/forwarded-user.ts';
import type { OutgoingAuth } from '../strategies/schema.ts';
import type { RoutePolicy } from './route-policy.ts';

type Path = readonly (string | number)[];

/** A header that the service writes on a route, and which part of the policy makes it do so. */
export interface WrittenHeader {
  /** As `normalise` gives it. */
  readonly name: string;
  readonly path: Path;
  /** For messages: "headerForward.plaintext", "identity propagation". */
  readonly by: string;
}

/** What SigV4 adds to a request; whatever else starts with `x-amz-` counts as the signature's own, too. */
const SIGV4 = ['authorization', 'host', 'x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'];

/** Every header the service may write on a route: the strategy's, headerForward's, propagation's, the assertion. */
export function headersWritten(policy: RoutePolicy): WrittenHeader[] {
  const { plaintext, secrets } = policy.headerForward;
  return [
    ...strategyHeaders(policy.outgoingAuth),
    ...Object.keys(plaintext).map((name) =>
      written(name, ['headerForward', 'plaintext', name], 'headerForward.plaintext'),
    ),
    ...Object.keys(secrets).map((name) => written(name, ['headerForward', 'secrets', name], 'headerForward.secrets')),
    ...propagationHeaders(policy),
  ];
}

function strategyHeaders(outgoing: OutgoingAuth): WrittenHeader[] {
  const path = ['outgoingAuth'];
  const by = `the strategy ${outgoing.type}`;
  switch (outgoing.type) {
    case 'unauthenticated':
      return [];
    case 'header_injection':
      return [written(outgoing.headerInjection.headerName, [...path, 'headerInjection', 'headerName'], by)];
    case 'claim_injection':
      return Object.entries(outgoing.claimInjection.claims).map(([claim, name]) =>
        written(name, [...path, 'claimInjection', 'claims', claim], by),
      );
    case 'token_exchange':
    case 'upstream_inject':
      return [written('authorization', [...path, 'type'], by)];
    default:
      return SIGV4.map((name) => written(name, [...path, 'type'], by));
  }
}

function propagationHeaders({ identityPropagation }: RoutePolicy): WrittenHeader[] {
  if (!identityPropagation) return [];
  const names = forwardedHeaderNames(identityPropagation);
  // With `meta`, only the assertion may still be a header.
  const sent = identityPropagation.mode === 'meta' ? names.filter((name) => name.endsWith('-assertion')) : names;
  return sent.map((name) => written(name, ['identityPropagation'], 'identity propagation'));
}

function written(name: string, path: Path, by: string): WrittenHeader {
  return { name: normalise(name), path, by };
}

/** Start of every header name that belongs to identity propagation of the route; undefined when it is off. */
export function propagationPrefix({ identityPropagation }: RoutePolicy): string | undefined {
  return identityPropagation && `${normalise(identityPropagation.headersPrefix)}-`;
}
