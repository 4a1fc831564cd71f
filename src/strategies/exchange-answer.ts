import type { TokenEndpointResponse } from 'oauth4webapi';
import { claimsOf, lifeOf } from './token-life.ts';

/** What was asked for; RFC 8693 2.1. */
export interface AskedToken {
  readonly subjectToken: string;
  readonly audience: string | undefined;
  readonly resource: readonly string[];
  readonly requestedTokenType: string | undefined;
  /** Whether an actor was named. */
  readonly actor: boolean;
}

/**
 * Why an answer is not what was asked for. Servers that do not know a parameter ignore it, some in silence, and hand
 * out a token for somebody else then.
 */
export type AnswerFault =
  | 'issued_token_type'
  | 'token_type'
  | 'token_malformed'
  | 'token_unchanged'
  | 'token_audience'
  | 'token_without_actor'
  | 'token_expired';

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';

/** RFC 6750 2.1, and a length that still fits into the header of a request. */
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/;
const MAX_TOKEN_LENGTH = 16 * 1024;

/** @returns undefined when the token may go to the backend as a Bearer credential */
export function judgeAnswer(
  answer: TokenEndpointResponse,
  asked: AskedToken,
  sentAtMs: number,
  nowMs: number,
): AnswerFault | undefined {
  const { access_token: token, token_type: tokenType, issued_token_type: issuedType } = answer;
  const { requestedTokenType, audience, resource } = asked;
  if (
    requestedTokenType === undefined
      ? issuedType !== ACCESS_TOKEN && issuedType !== JWT
      : issuedType !== requestedTokenType
  )
    return 'issued_token_type';
  if (tokenType !== 'bearer') return 'token_type';
  if (token.length > MAX_TOKEN_LENGTH || !TOKEN68.test(token)) return 'token_malformed';
  const claims = claimsOf(token);
  if (issuedType === JWT && !claims) return 'token_malformed';
  const targets = audience === undefined ? resource : [audience, ...resource];
  if (targets.length > 0 && token === asked.subjectToken) return 'token_unchanged';
  if (claims) {
    // `audience` and `resource` are two names for where the token is used (RFC 8693 2.1), and a server may know one of them.
    const { aud = [], act } = claims;
    const audiences = typeof aud === 'string' ? [aud] : aud;
    if (targets.length > 0 && !targets.some((target) => audiences.includes(target))) return 'token_audience';
    if (asked.actor && (typeof act !== 'object' || act === null)) return 'token_without_actor';
  }
  return lifeOf(token, answer.expires_in, sentAtMs).endMs <= nowMs ? 'token_expired' : undefined;
}
