import { type Authorization, readAuthorization } from '../authn/authorization.ts';
import { readCompactJws } from '../authn/compact-jws.ts';
import type { IncomingMethod } from '../authn/method.ts';
import type { RequestFacts } from '../core/request-facts.ts';
import type { Seen } from '../core/ports.ts';
import { WIRE } from '../core/refusal.ts';

/** What a check came to, in one line. */
export function seenText(
  { check, method, absent, refusal, note }: Seen,
  byName: ReadonlyMap<string, IncomingMethod>,
  facts: RequestFacts,
): string {
  const known = method === undefined ? undefined : byName.get(method);
  const who = known ? `${known.name} (${known.type})` : method;
  if (check === 'credential' && who !== undefined && !refusal) {
    if (!absent) return `${who}: the caller is who they say`;
    return `${who} does not claim the request: ${known ? whyAbsent(known, facts) : 'nothing of its kind is there'}`;
  }
  const said = refusal ? [WIRE[refusal.reason].message, refusal.detail, note] : [note];
  const more = said.filter((text) => text !== undefined).join('; ');
  if (who === undefined) return more === '' ? 'holds' : more;
  return `${who}: ${check}${more === '' ? '' : ` — ${more}`}`;
}

/** The method has said that nothing of its kind is there; this says what is there instead. */
function whyAbsent(method: IncomingMethod, { headers }: RequestFacts): string {
  const authorization = readAuthorization(headers, true);
  switch (method.type) {
    case 'jwt':
    case 'introspection':
      return whyNoToken(method, authorization);
    case 'basic':
      return 'no Basic credential is there';
    case 'trusted_proxy':
      return method.credentialHeaders.some((name) => headers.has(name))
        ? 'its headers are there, but the peer is none of `trustedPeers`'
        : 'its headers are not there';
    default:
      return `the header ${method.credentialHeaders.join(', ')} is not there`;
  }
}

function whyNoToken({ type, issuer, dpop }: IncomingMethod, authorization: Authorization): string {
  if (authorization.kind !== 'bearer' && authorization.kind !== 'dpop') return 'no bearer token is there';
  if (authorization.kind === 'dpop' && dpop === undefined) return 'the scheme is DPoP, and the method takes none';
  const jws = readCompactJws(authorization.token);
  if (type === 'introspection') return 'the token is a JWT, and the method reads opaque ones';
  const iss = jws?.payload['iss'];
  return jws
    ? `iss of the token is ${typeof iss === 'string' ? iss : 'missing'}, and not ${issuer ?? ''}`
    : 'the token is no JWT';
}
