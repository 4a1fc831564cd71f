import { type Refusal, refuse } from '../core/refusal.ts';
import type { JwtConfig } from './schema.ts';

/** What a method does with tokens that are bound to a key of the client. */
export type DpopMode = JwtConfig['dpop'];

/** RFC 9449 6.1: SHA-256, base64url. */
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;

/**
 * The key that a token is bound to.
 *
 * RFC 9449 7.2, RFC 8705 3: a token that is bound to a key is no bearer token. So a binding that nobody checks is refused:
 * every one where the method knows no DPoP, and else whatever stands beside `jkt`, such as a certificate.
 * @param cnf the claim of RFC 7800 3.1, undefined when the token has none
 */
export function readBoundKey(cnf: unknown, mode: DpopMode): { readonly thumbprint?: string } | Refusal {
  if (cnf === undefined) return {};
  if (mode === 'off' || typeof cnf !== 'object' || cnf === null) return refuse('token_sender_constrained');
  const { jkt, ...others } = cnf as Readonly<Record<string, unknown>>;
  return typeof jkt === 'string' && THUMBPRINT.test(jkt) && Object.keys(others).length === 0
    ? { thumbprint: jkt }
    : refuse('token_sender_constrained', { detail: 'cnf holds a binding that cannot be checked' });
}
