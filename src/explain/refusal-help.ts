import type { Reason } from '../core/refusal.ts';

export interface Explanation {
  /** How it comes about. */
  readonly cause: string;
  /** What whoever runs the service, or the client, can do. */
  readonly mend: string;
}

const TRY_LATER = 'The client comes back after `Retry-After`.';

/** Every reason of core/refusal.ts, for `explain` and docs/reference/refusals.md. The compiler asks for those that are missing. */
export const REFUSALS: Record<Reason, Explanation> = {
  credential_missing: {
    cause: 'The request carries no credential, and the route does not accept anonymous callers.',
    mend: 'Nothing is wrong: an MCP client follows `resource_metadata` in the challenge and signs in. If a client was signed in, see whether it stores the token for exactly this URL.',
  },
  scheme_not_accepted: {
    cause: 'The `Authorization` scheme belongs to no method of the route, such as `Basic` where only `jwt` is listed.',
    mend: 'Add the method to `incomingAuth` of the route, or let the client use the scheme in the challenge.',
  },
  login_required: {
    cause: 'An anonymous caller asks for something that needs scopes or a token of a user.',
    mend: 'The client has to sign in. To keep the route open to everyone, take `scopes` off it, or off the tool.',
  },
  authorization_repeated: {
    cause: 'Two `Authorization` headers, a comma inside one, or two API keys: it is not clear who is calling.',
    mend: 'Send one credential. Look for a proxy that adds one of its own.',
  },
  authorization_malformed: {
    cause:
      'An empty bearer token, characters that no token has, broken Basic encoding, or a header of `trusted_proxy` that cannot be read.',
    mend: 'Correct the client. A line break at the end of a token read from a file is the usual one.',
  },
  token_too_large: {
    cause: 'The token is longer than the service reads.',
    mend: 'Have the identity provider put fewer claims into it, such as group names instead of all permissions.',
  },
  token_malformed: {
    cause: 'A bearer token that is no JWT on a route where only `jwt` is accepted, or a JWT with a broken header.',
    mend: 'Opaque tokens need an `introspection` method. Ask the provider for a token for this `resource`: some give JWTs only then.',
  },
  token_issuer: {
    cause: '`iss` is not the issuer of any method of the route, compared character by character.',
    mend: 'Compare `iss` with `issuer` in the config file: a slash at the end counts.',
  },
  token_algorithm: {
    cause: 'The token is signed with an algorithm outside `algorithms`; `none` and HS* never are inside.',
    mend: 'Add the algorithm to the method, if the provider really uses it.',
  },
  token_type: {
    cause: '`typ` of the token is not in `tokenTypes`; often an ID token was sent in place of an access token.',
    mend: 'Send the access token. Providers with a `typ` of their own need it in `tokenTypes`.',
  },
  token_key_unknown: {
    cause: 'The `kid` of the token is not among the keys of the issuer, and they were fetched again.',
    mend: 'See that `jwksUri` is the one of this issuer and realm. Tokens from before a change of keys have to be fetched anew.',
  },
  token_signature: {
    cause: 'The key is known, the signature does not fit: the token was changed or made up.',
    mend: 'Nothing, unless callers complain who are known to be honest: then something between client and Envoy changes headers.',
  },
  token_expired: {
    cause: '`exp` is past, `clockSkew` included.',
    mend: 'The client refreshes its token. If fresh ones are refused, compare the clocks.',
  },
  token_not_yet_valid: {
    cause: '`nbf` lies in the future, `clockSkew` included.',
    mend: 'Compare the clocks of the service and the identity provider.',
  },
  token_audience: {
    cause:
      '`aud` holds neither the `resource` of the route nor an `audience` of its method: the token was made for another server.',
    mend: 'The client must ask for this resource (RFC 8707). Providers that ignore `resource` need an audience configured on their side, and the same one as `audience` in the method.',
  },
  token_claims: {
    cause:
      'A claim is missing or of the wrong kind: `exp`, the subject, or one of `requiredClaims`. The log says which.',
    mend: 'Have the provider issue the claim, or correct `subjectClaim` and `requiredClaims`.',
  },
  token_sender_constrained: {
    cause:
      'The token is bound to a key (`cnf`), and was sent as a plain bearer token, to a method without `dpop`, or bound to something else than a DPoP key.',
    mend: 'Set `dpop: allowed` for the method and let the client send proofs, or let it use tokens that are not bound: a stolen one must not work without its key.',
  },
  token_inactive: {
    cause: 'The introspection endpoint says `active: false`: revoked, expired, or issued elsewhere.',
    mend: 'The client fetches a new token. If every token is inactive, ask whether the client of the method may introspect them.',
  },
  credential_wrong: {
    cause: 'An API key, user name or password that is not known.',
    mend: 'Compare `sha256` with the hash of the key, without a line break at its end.',
  },
  credential_expired: {
    cause: 'The API key is past its `expires`.',
    mend: 'Hand out a new key; `expires` of the old one shows when it ended.',
  },
  subject_token_refused: {
    cause: 'The token passed the checks here, and the exchange says that it is no longer good.',
    mend: 'The client fetches a new token.',
  },
  token_not_bound: {
    cause: 'A token without `cnf.jkt`, where the method has `dpop: required`, or sent with the scheme `DPoP`.',
    mend: 'The client asks its provider for a token with a DPoP proof. If it does: has the provider DPoP switched on for it?',
  },
  dpop_proof_missing: {
    cause: 'The scheme is `DPoP`, and there is no `DPoP` header.',
    mend: 'Correct the client, or the proxy in front that drops the header.',
  },
  dpop_proof_invalid: {
    cause:
      'The proof is of another request, another token or another key, is older than 60 s or more than 5 s ahead, or is malformed. The log says which.',
    mend: '`htu is another URL`: the `resource` of the route must have the origin that clients use, and no proxy may change the path. `iat`: compare the clocks.',
  },
  dpop_proof_replayed: {
    cause: 'A proof with this `jti` and key was used before, at this replica or another one.',
    mend: 'A client makes a new proof for each request, repeated ones included. If it does, somebody replays what they have seen.',
  },
  dpop_nonce_wanted: {
    cause: 'The method has `dpopNonce: true`, and the proof holds no nonce of this server, or an old one.',
    mend: 'Nothing is wrong: the client repeats the request with the nonce in `DPoP-Nonce`. If it comes at every call, replicas have different `vault.keys`.',
  },
  replay_unchecked: {
    cause: 'The store of the vault, which remembers used DPoP proofs, does not answer or is full.',
    mend: 'The client comes back after `Retry-After` with a new proof. Look at the store.',
  },
  credential_throttled: {
    cause: 'Too many wrong passwords from this address or for this user; the credential was not looked at.',
    mend: 'Wait for `Retry-After`. `mcp_identity_password_checks_total{outcome="throttled"}` shows an attack.',
  },
  scope_missing: {
    cause: 'The token lacks a scope of the route or of the tool that is called.',
    mend: 'The challenge names all that the call needs; a client signs in again for them. If it never gets them, the person may not have them at the provider.',
  },
  tool_denied: {
    cause: 'A line of `tools` with `deny: true` fits the name of the tool.',
    mend: 'That is what the line is for. An exact name with scopes opens one tool again.',
  },
  origin_denied: {
    cause: 'A page in a browser calls, and its origin is not in `allowedOrigins`.',
    mend: 'Add the origin, if the page is yours. It keeps other pages from using somebody’s local network.',
  },
  body_missing: {
    cause: 'A POST without a body on a route that decides by the body.',
    mend: 'Correct the client.',
  },
  body_unexpected: {
    cause: 'A DELETE without a credential, which `session.identityFallback: delete` lets end its session, had a body.',
    mend: 'Send the credential with it, or no body.',
  },
  body_not_utf8: { cause: 'The body holds bytes that are not UTF-8.', mend: 'Correct the client; JSON is UTF-8.' },
  body_not_json: { cause: 'The body is not JSON.', mend: 'Correct the client.' },
  body_batch: {
    cause: 'A list of messages. MCP has had no batches since 2025-06-18, and a list cannot be judged as one call.',
    mend: 'Send the messages one by one.',
  },
  body_ambiguous: {
    cause:
      'Keys that stand twice, or differ in case only, too many of them, or too deep: another parser could read another tool.',
    mend: 'Correct the client. No MCP library writes such messages.',
  },
  body_not_jsonrpc: {
    cause: 'JSON, but not one JSON-RPC 2.0 message.',
    mend: 'Send MCP requests to this path only.',
  },
  header_mismatch: {
    cause: '`Mcp-Method` or `Mcp-Name` is missing or says something else than the body (2026-07-28).',
    mend: 'Correct the client, or the proxy that changes one of the two.',
  },
  body_encoded: {
    cause: 'A compressed body on a route that has to read it.',
    mend: 'Send it without `content-encoding`.',
  },
  body_type: { cause: '`content-type` is not `application/json`.', mend: 'Correct the client.' },
  body_late: {
    cause:
      'The body was waited for for 60 s: the client is slow, or it sent more than Envoy can hold without saying how much (V-35).',
    mend: 'Clients that announce the length of their bodies are told at once. Bound the bodies of others in Envoy: see V-35.',
  },
  body_too_large: {
    cause: 'The body is larger than `limits.maxBody`. Envoy answers 413 by itself beyond `max_request_bytes`.',
    mend: 'Raise both, and the buffers of the listener (V-29), or put the tool on a route that reads no bodies.',
  },
  session_unknown: {
    cause:
      'The session belongs to somebody else, to another backend, is older than `session.maxAge`, was changed, or was sealed with a key that is gone.',
    mend: 'The client opens a new session. If all sessions end at once: was a key taken out of `session.keys`, or do replicas have different ones?',
  },
  session_too_large: {
    cause: 'The captured passthrough values, or the session id of the backend, would make a header that is too large.',
    mend: 'Pass fewer or shorter headers through on a route with `passthroughCapture: session`.',
  },
  passthrough_not_utf8: {
    cause: 'A passthrough header whose bytes are not UTF-8, on a route that remembers its value for the session.',
    mend: 'Correct the client: header values are ASCII, or UTF-8 where the backend wants more.',
  },
  account_missing: {
    cause: 'The caller has not connected an account at the provider of this route, or the grant has ended.',
    mend: 'Open the link in `data.url`. If it comes back at once, see the audit for `refresh` events of that user.',
  },
  backend_unauthorized: {
    cause: 'The backend answered 401 to the credential that it was given.',
    mend: 'The next call gets a new credential. If it stays: scopes, audience or resource of that credential are not what the backend wants.',
  },
  list_unreadable: {
    cause:
      'The answer to `tools/list` cannot be read, so tools that are hidden from the caller could not be taken out.',
    mend: 'See what the backend answers: it has to be one JSON-RPC message, plain or as an event stream, without `content-encoding`.',
  },
  list_too_large: {
    cause: 'The answer to `tools/list` is larger than `limits.maxBody`.',
    mend: 'Raise the limit, or let the backend answer in pages.',
  },
  list_late: {
    cause: 'The backend began its answer to `tools/list` and did not end it in time.',
    mend: 'Look at the backend.',
  },
  exchange_refused: {
    cause: 'The token endpoint of `token_exchange` refuses this exchange. The log has its error code.',
    mend: '`invalid_target`: correct `audience` or `resource`. `invalid_client`: correct the client. Else the person may not use that service.',
  },
  role_not_mapped: {
    cause: 'No entry of `roleMappings` fits the claims of the caller, and there is no `fallbackRoleArn`.',
    mend: 'Add a mapping, or leave it: these callers have no role there.',
  },
  aws_refused: {
    cause: 'STS refuses AssumeRoleWithWebIdentity for this token and role.',
    mend: 'See the trust policy of the role: it must name the issuer as provider and accept the audience of the token.',
  },
  path_not_signable: {
    cause:
      'The path or query of the request can be written in several ways, so a signature over one of them would not hold; or the query has more than 256 parameters.',
    mend: 'Send it in its plain form: no `//`, no `..`, no broken `%` sequences. Put many parameters into the body.',
  },
  exchange_answer_invalid: {
    cause:
      'The answer of the token endpoint is no usable token: another type than was asked for, too short-lived, or broken.',
    mend: 'The log says what is wrong with it. Compare `requestedTokenType` with what the endpoint can issue.',
  },
  aws_answer_invalid: {
    cause: 'STS answered, but not with usable credentials.',
    mend: 'Is `aws.stsEndpoint` really STS?',
  },
  issuer_unavailable: {
    cause: 'Keys or introspection are needed, and the identity provider does not answer.',
    mend: `${TRY_LATER} Known keys go on being used in an outage; \`mcp_identity_jwks_fetches_total\` shows failures.`,
  },
  upstream_unavailable: {
    cause:
      'The token of the user at the upstream provider cannot be had now: provider or vault do not answer, or another replica is refreshing it.',
    mend: `${TRY_LATER} The grant is kept. Only calls that need this provider are affected.`,
  },
  exchange_unavailable: {
    cause: 'The token endpoint of `token_exchange` does not answer.',
    mend: `${TRY_LATER} See \`mcp_identity_egress_requests_total\`.`,
  },
  aws_unavailable: { cause: 'STS does not answer.', mend: `${TRY_LATER} Is STS reachable from here?` },
  audit_unavailable: {
    cause: 'The audit cannot be written, so nothing is let through that nobody could look up later.',
    mend: 'See to the destination of `audit`: a full disk, a pipe whose reader is gone, a file that may not be written.',
  },
  overloaded: {
    cause: 'Too many password checks or outgoing calls wait already.',
    mend: `${TRY_LATER} \`mcp_identity_egress_waiting\` and \`mcp_identity_password_checks_waiting\` tell which.`,
  },
  deadline_exceeded: {
    cause: 'Envoy gave up, or would have, before the decision was made.',
    mend: 'Raise `grpc_service.timeout` of ext_authz (5s is usual), and see what was waited for in `mcp_identity_egress_seconds`.',
  },
  draining: {
    cause: 'This process was told to stop.',
    mend: 'With a gRPC health check on its cluster, Envoy goes to another one by itself.',
  },
  policy_missing: {
    cause: 'The route goes through ext_authz and has no `mcp.identity` metadata, or ext_authz does not forward it.',
    mend: 'Run `check`: V-20 or V-21.',
  },
  policy_invalid: {
    cause: 'The policy of the route is wrong. The log has each problem with its code.',
    mend: 'Run `check` on what Envoy runs: `check --envoy` takes a saved `/config_dump`.',
  },
  policy_unproven: {
    cause: 'The policy needs ext_proc, and no validated Envoy configuration shows that ext_proc is there.',
    mend: 'Set `envoy.bootstrap` or `envoy.admin`.',
  },
  body_not_buffered: {
    cause: 'The route decides by the body, and Envoy sent none, or as text.',
    mend: 'Run `check`: V-23.',
  },
  headers_not_raw: { cause: 'The ext_authz filter lacks `encode_raw_headers`.', mend: 'Run `check`: V-21.' },
  request_malformed: {
    cause: 'The message from Envoy could not be decoded.',
    mend: 'Is it Envoy that calls? Versions before 1.40 are not tried.',
  },
  internal: {
    cause: 'A mistake of the service.',
    mend: 'The log has the error under the request id. Please report it.',
  },
};
