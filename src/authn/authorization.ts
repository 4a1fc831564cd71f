import { refuse, type Refusal } from '../core/refusal.ts';
import type { HeaderFields } from '../core/request-facts.ts';
import { withoutOws } from './credential-header.ts';

/** The Authorization header of a request, read once. */
export type Authorization =
  | { readonly kind: 'none' }
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'dpop'; readonly token: string }
  | { readonly kind: 'basic'; readonly value: string }
  | { readonly kind: 'other' }
  | { readonly kind: 'malformed'; readonly refusal: Refusal };

/**
 * Characters of a bearer token that anybody looks at. Identity providers stay below 8 KiB, because many proxies refuse
 * longer headers.
 */
export const MAX_TOKEN_LENGTH = 16 * 1024;

const NONE: Authorization = { kind: 'none' };
const OTHER: Authorization = { kind: 'other' };
const MALFORMED: Authorization = { kind: 'malformed', refusal: refuse('authorization_malformed') };
const REPEATED: Authorization = { kind: 'malformed', refusal: refuse('authorization_repeated') };

/** RFC 6750 2.1 / RFC 9110 11.2: token68. */
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/;
/** RFC 9110 5.6.2: an auth-scheme is a token. */
const SCHEME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Envoy keeps Authorization as one inline header and joins copies with a comma (covered by test/e2e/attacks.test.ts),
 * so a comma in a Bearer, DPoP or Basic credential means several credentials.
 * @param takesDpop whether the DPoP scheme (RFC 9449 7.1) is one of those that somebody reads
 */
export function readAuthorization(headers: HeaderFields, takesDpop = false): Authorization {
  const first = headers.get('authorization');
  if (first === undefined) return NONE;
  if (headers.all('authorization').length > 1) return REPEATED;
  const value = withoutOws(first);
  const space = value.indexOf(' ');
  const scheme = space === -1 ? value : value.slice(0, space);
  if (!SCHEME.test(scheme)) return MALFORMED;
  const kind = scheme.toLowerCase();
  if (kind !== 'bearer' && kind !== 'basic' && !(takesDpop && kind === 'dpop')) return OTHER;
  const credential = space === -1 ? '' : withoutOws(value.slice(space));
  if (!TOKEN68.test(credential)) return credential.includes(',') ? REPEATED : MALFORMED;
  return kind === 'basic' ? { kind, value: credential } : { kind, token: credential };
}
