/**
 * Why a request is refused: the closed list. The reason goes to the audit word for word; what the client hears
 * is in `WIRE`. Each is described for operators in docs/reference/refusals.md.
 */
export type Reason = keyof typeof WIRE;

export interface Refusal {
  readonly reason: Reason;
  /** For the log only; never a token, secret or a value an outsider sent. */
  readonly detail?: string;
  /** All scopes this call needs, the route's own included; for `scope_missing`. */
  readonly scopes?: readonly string[];
  /** When to come back, for 503. */
  readonly retryAfterSeconds?: number;
  /** For `dpop_nonce_wanted`: what the client's next proof must hold (RFC 9449 9). */
  readonly dpopNonce?: string;
}

/** What goes over the wire for one reason. */
export interface Wire {
  readonly status: number;
  /**
   * `none`: no WWW-Authenticate. `bare`: a Bearer challenge without `error` (RFC 6750 3.1: the request carried
   * no authentication information). Otherwise the `error` parameter; the two about proofs stand in DPoP challenges only.
   */
  readonly challenge:
    | 'none'
    | 'bare'
    | 'invalid_token'
    | 'invalid_request'
    | 'insufficient_scope'
    | 'invalid_dpop_proof'
    | 'use_dpop_nonce';
  /** Short text for the person at the other end; the same for every request with this reason. */
  readonly message: string;
  /** `error.code` when the answer is a JSON-RPC error. */
  readonly rpcCode: number;
}

const UNAUTHORIZED = -32001;
const FORBIDDEN = -32003;
const UNAVAILABLE = -32004;
const INTERNAL = -32603;
const BAD_GATEWAY = -32005;
/** What the MCP SDKs answer for a session they do not know. */
const SESSION_UNKNOWN = -32001;
const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
/** MCP 2026-07-28: request headers do not match the body. */
const HEADER_MISMATCH = -32020;

const bare = (message: string): Wire => ({ status: 401, challenge: 'bare', message, rpcCode: UNAUTHORIZED });
const invalidToken = (message: string): Wire => ({
  status: 401,
  challenge: 'invalid_token',
  message,
  rpcCode: UNAUTHORIZED,
});
const invalidRequest = (message: string): Wire => ({
  status: 400,
  challenge: 'invalid_request',
  message,
  rpcCode: INVALID_REQUEST,
});
const badProof = (message: string): Wire => ({
  status: 401,
  challenge: 'invalid_dpop_proof',
  message,
  rpcCode: UNAUTHORIZED,
});
const plain = (status: number, rpcCode: number, message: string): Wire => ({
  status,
  challenge: 'none',
  message,
  rpcCode,
});

/** Contract §5. */
export const WIRE = {
  credential_missing: bare('Sign in to use this server'),
  scheme_not_accepted: bare('This authorization scheme is not accepted here'),
  login_required: bare('Sign in to use this server'),

  authorization_repeated: invalidRequest('More than one credential was sent'),
  authorization_malformed: invalidRequest('The Authorization header is malformed'),

  token_too_large: invalidToken('The access token is too large'),
  token_malformed: invalidToken('The access token is not a JWT'),
  token_issuer: invalidToken('The access token comes from an issuer that is not accepted here'),
  token_algorithm: invalidToken('The access token is signed with an algorithm that is not accepted here'),
  token_type: invalidToken('This type of token is not accepted here'),
  token_key_unknown: invalidToken('The key that signed the access token is not known'),
  token_signature: invalidToken('The signature of the access token is wrong'),
  token_expired: invalidToken('The access token has expired'),
  token_not_yet_valid: invalidToken('The access token is not valid yet'),
  token_audience: invalidToken('The access token was issued for another audience'),
  token_claims: invalidToken('The access token lacks a required claim'),
  token_sender_constrained: invalidToken(
    'The access token is bound to a key and cannot be used as a plain bearer token',
  ),
  token_inactive: invalidToken('The access token is not active'),
  credential_wrong: invalidToken('The credential is wrong'),
  credential_expired: invalidToken('The credential has expired'),
  /** Valid for us, but not for the service that issues the backend's credential for it. */
  subject_token_refused: invalidToken('The access token is not accepted any more'),

  /** RFC 9449 7.1. */
  token_not_bound: invalidToken('The access token is not bound to a key, as it has to be here'),
  dpop_proof_missing: badProof('A DPoP proof is missing'),
  dpop_proof_invalid: badProof('The DPoP proof is not valid for this request'),
  dpop_proof_replayed: badProof('The DPoP proof was used before'),
  dpop_nonce_wanted: {
    status: 401,
    challenge: 'use_dpop_nonce',
    message: 'The DPoP proof must hold the nonce of this server',
    rpcCode: UNAUTHORIZED,
  },

  /** RFC 6585 4; the credential was not even looked at. */
  credential_throttled: plain(429, UNAVAILABLE, 'Too many wrong credentials were sent; try again later'),

  scope_missing: {
    status: 403,
    challenge: 'insufficient_scope',
    message: 'The access token lacks a scope that this call needs',
    rpcCode: FORBIDDEN,
  },
  tool_denied: plain(403, FORBIDDEN, 'This tool may not be called here'),
  origin_denied: plain(403, FORBIDDEN, 'Requests from this origin are not allowed'),

  body_missing: plain(400, INVALID_REQUEST, 'A JSON-RPC message is expected in the body'),
  body_unexpected: plain(400, INVALID_REQUEST, 'A session is ended without a body'),
  body_not_utf8: plain(400, PARSE_ERROR, 'The body is not UTF-8'),
  body_not_json: plain(400, PARSE_ERROR, 'The body is not JSON'),
  body_batch: plain(400, INVALID_REQUEST, 'JSON-RPC batches are not supported'),
  body_ambiguous: plain(400, INVALID_REQUEST, 'The body can be read in more than one way'),
  body_not_jsonrpc: plain(400, INVALID_REQUEST, 'The body is not one JSON-RPC 2.0 message'),
  header_mismatch: plain(400, HEADER_MISMATCH, 'The MCP headers do not match the body'),
  body_encoded: plain(415, INVALID_REQUEST, 'Bodies with a content-encoding are not accepted here'),
  body_type: plain(415, INVALID_REQUEST, 'The content-type must be application/json'),
  /** RFC 9110 15.5.9. */
  body_late: plain(408, INVALID_REQUEST, 'The body did not arrive in time, or is too large to be held'),
  body_too_large: plain(413, INVALID_REQUEST, 'The body is too large'),

  session_unknown: plain(404, SESSION_UNKNOWN, 'The session is not known; open a new one'),
  session_too_large: plain(431, INVALID_REQUEST, 'The session would not fit into a header'),
  account_missing: plain(403, FORBIDDEN, 'Connect your account first; the link is in data.url'),
  backend_unauthorized: plain(
    502,
    BAD_GATEWAY,
    'The server behind this address refused the credential it was given; try again',
  ),
  list_unreadable: plain(
    502,
    BAD_GATEWAY,
    'The server behind this address gave a list of tools that cannot be filtered',
  ),
  list_too_large: plain(502, BAD_GATEWAY, 'The list of tools that the server behind this address gave is too large'),
  list_late: plain(502, BAD_GATEWAY, 'The server behind this address did not end its list of tools in time'),

  exchange_refused: plain(403, FORBIDDEN, 'No credential for this server is issued to you'),
  role_not_mapped: plain(403, FORBIDDEN, 'No role on this server is meant for you'),
  aws_refused: plain(403, FORBIDDEN, 'AWS issues no credentials for this server to you'),
  path_not_signable: plain(400, INVALID_REQUEST, 'The path or the query of this request cannot be signed'),
  exchange_answer_invalid: plain(502, BAD_GATEWAY, 'The authorization server gave no usable token for this server'),
  aws_answer_invalid: plain(502, BAD_GATEWAY, 'AWS gave no usable credentials for this server'),

  issuer_unavailable: plain(503, UNAVAILABLE, 'The identity provider cannot be reached; try again'),
  upstream_unavailable: plain(503, UNAVAILABLE, 'The service that this server works with cannot be reached; try again'),
  exchange_unavailable: plain(503, UNAVAILABLE, 'The authorization server of this server cannot be reached; try again'),
  aws_unavailable: plain(503, UNAVAILABLE, 'AWS cannot be reached for credentials; try again'),
  audit_unavailable: plain(503, UNAVAILABLE, 'The service cannot record what it does; try again'),
  passthrough_not_utf8: plain(400, INVALID_REQUEST, 'A header that is kept for the session is not UTF-8'),
  replay_unchecked: plain(503, UNAVAILABLE, 'The service cannot tell whether the DPoP proof is new; try again'),
  overloaded: plain(503, UNAVAILABLE, 'Too much is going on; try again'),
  deadline_exceeded: plain(503, UNAVAILABLE, 'It took too long to decide; try again'),
  draining: plain(503, UNAVAILABLE, 'The service is shutting down; try again'),

  policy_missing: plain(500, INTERNAL, 'This route is not configured'),
  policy_invalid: plain(500, INTERNAL, 'This route is not configured correctly'),
  policy_unproven: plain(500, INTERNAL, 'This route is not configured correctly'),
  body_not_buffered: plain(500, INTERNAL, 'This route is not configured correctly'),
  headers_not_raw: plain(500, INTERNAL, 'This route is not configured correctly'),
  request_malformed: plain(500, INTERNAL, 'The request could not be read'),
  internal: plain(500, INTERNAL, 'Something went wrong'),
} as const satisfies Record<string, Wire>;

/** `error` when a machine is broken or misconfigured, `deny` when the caller may not. */
export function outcomeOf(reason: Reason): 'deny' | 'error' {
  return WIRE[reason].status >= 500 ? 'error' : 'deny';
}

export function refuse(reason: Reason, more: Omit<Refusal, 'reason'> = {}): Refusal {
  return { reason, ...more };
}
