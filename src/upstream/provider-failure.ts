import { AuthorizationResponseError, ResponseBodyError } from 'oauth4webapi';
import { EgressError } from '../net/egress-error.ts';

/**
 * Why a provider gave nothing: the closed list. None of them says anything about the grant itself.
 * `client_rejected`: it does not accept our client id or secret. `rejected`: an OAuth error about the request.
 * `malformed`: an answer, or a metadata document, that is none. `callback_invalid`: a callback that does not belong to
 * our request (`state`, RFC 9207 `iss`). `code_rejected`: the authorization code is no longer good.
 */
export type ProviderFault =
  | 'timeout'
  | 'network'
  | 'overloaded'
  | 'rate_limited'
  | 'server_error'
  | 'client_rejected'
  | 'rejected'
  | 'malformed'
  | 'callback_invalid'
  | 'code_rejected';

export interface ProviderFailure {
  readonly kind: 'failed';
  readonly fault: ProviderFault;
  /** The OAuth error of the answer, when it is one of the registered ones. */
  readonly error?: string;
  /** What the provider asked for by `Retry-After`. */
  readonly retryAfterSeconds?: number;
  /** There was no connection: the request has certainly not been seen. */
  readonly unsent?: true;
}

/** RFC 6749 4.1.2.1 and 5.2, RFC 8707 2, OpenID Connect Core 3.1.2.6; other words are an outsider's text. */
const KNOWN_ERRORS: ReadonlySet<string> = new Set([
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'unsupported_response_type',
  'invalid_scope',
  'invalid_target',
  'access_denied',
  'server_error',
  'temporarily_unavailable',
  'login_required',
  'consent_required',
  'interaction_required',
  'account_selection_required',
]);

/** The registered OAuth error that `error` carries. */
export function oauthErrorOf(error: unknown): string | undefined {
  const word =
    error instanceof ResponseBodyError || error instanceof AuthorizationResponseError ? error.error : undefined;
  return word !== undefined && KNOWN_ERRORS.has(word) ? word : undefined;
}

export function failed(fault: ProviderFault, more: Omit<ProviderFailure, 'kind' | 'fault'> = {}): ProviderFailure {
  return { kind: 'failed', fault, ...more };
}

/** Errors of oauth4webapi hold whole answers in their `cause`: only a word of ours goes on. */
export function failureOf(error: unknown, signal: AbortSignal): ProviderFailure {
  if (signal.aborted) return failed('timeout');
  if (error instanceof EgressError)
    return failed(EGRESS_FAULTS[error.code], UNCONNECTED.test(error.message) ? { unsent: true } : {});
  const word = oauthErrorOf(error);
  const named = word === undefined ? {} : { error: word };
  if (error instanceof ResponseBodyError) {
    if (word === 'invalid_client' || word === 'unauthorized_client') return failed('client_rejected', named);
    if (word === 'temporarily_unavailable' || word === 'server_error') return failed('server_error', named);
    return failed('rejected', named);
  }
  return failed('malformed');
}

/** Ends of the messages of failures before there was a connection. */
const UNCONNECTED = /\((ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)\)$/;

const EGRESS_FAULTS = {
  timeout: 'timeout',
  network: 'network',
  overloaded: 'overloaded',
  too_large: 'malformed',
  redirect: 'malformed',
  refused_url: 'malformed',
} as const;

/** Longer waits are somebody's mistake: our clock, or theirs. */
const MAX_RETRY_AFTER_SECONDS = 600;

/** What the status alone says, where no body may be believed: a gateway in front of the provider answers too. */
export function failureOfStatus(response: Response, nowMs: number): ProviderFailure | undefined {
  const { status } = response;
  const seconds = retryAfterSeconds(response.headers.get('retry-after'), nowMs);
  const wait = seconds === undefined ? {} : { retryAfterSeconds: seconds };
  if (status === 429) return failed('rate_limited', wait);
  return status >= 500 || status === 408 ? failed('server_error', wait) : undefined;
}

/** RFC 9110 10.2.3: seconds, or a date. */
function retryAfterSeconds(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - nowMs) / 1_000;
  return Number.isFinite(seconds) ? Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(seconds))) : undefined;
}
