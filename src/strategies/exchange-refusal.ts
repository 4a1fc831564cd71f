import { refuse } from '../core/refusal.ts';
import type { ProviderFailure } from '../upstream/provider-failure.ts';
import type { Obtained } from './credential-cache.ts';
import type { Subject } from './subject-token.ts';

type Refused = Extract<Obtained<never>, { kind: 'refused' }>;

/** When to come back after trouble whose end nobody knows. */
const RETRY_SECONDS = 5;

/**
 * What the caller hears when the exchange endpoint gives no token: 503 for what is out of order and may pass, 403 for
 * what this user, or this gateway, may not have, and for a bad subject token what its source has to say. RFC 8693 2.2.2
 * has `invalid_request` for a subject token that is invalid or unacceptable; servers say `invalid_grant`, too.
 */
export function exchangeRefusal(failure: ProviderFailure, subject: Subject): Refused {
  const { fault, error, retryAfterSeconds = RETRY_SECONDS } = failure;
  const detail = failureText(failure);
  const unavailable = refuse('exchange_unavailable', { detail, retryAfterSeconds });
  switch (fault) {
    case 'timeout':
    case 'network':
    case 'overloaded':
    case 'rate_limited':
    case 'server_error':
      return { kind: 'refused', refusal: unavailable, definite: false };
    case 'client_rejected':
      return error === 'unauthorized_client'
        ? { kind: 'refused', refusal: refuse('exchange_refused', { detail }), definite: true }
        : { kind: 'refused', refusal: unavailable, definite: true };
    case 'rejected':
      return error === 'invalid_grant' || error === 'invalid_request'
        ? { kind: 'refused', refusal: subject.rejected('exchange_refused', detail), definite: true }
        : { kind: 'refused', refusal: refuse('exchange_refused', { detail }), definite: true };
    default:
      return { kind: 'refused', refusal: refuse('exchange_answer_invalid', { detail }), definite: false };
  }
}

/** One or two words for the audit, the log and metrics; never a text of the other side. */
export function failureText({ fault, error }: ProviderFailure): string {
  return error === undefined ? fault : `${fault} ${error}`;
}
