import { createHash } from 'node:crypto';
import { errors, type JWTPayload, type JWTVerifyOptions, type JWTVerifyResult, jwtVerify } from 'jose';
import { AssertionRefused, type RefusalCode } from './refused.ts';
import { backendKey, keysUrl, remoteKeys } from './keys.ts';
import { Remembered } from './remembered.ts';

export { AssertionRefused, type RefusalCode } from './refused.ts';

export interface VerifierOptions {
  /** `publicUrl` of the service. */
  readonly issuer: string;
  /** `backend` of the route: the name that Envoy's metadata gives this server. */
  readonly backend: string;
  /** `resource` of the route; left out, an assertion for any resource of this backend will do. */
  readonly resource?: string;
  /** For `sign: jws`: `<publicUrl>/.well-known/mcp-identity/jwks.json`. */
  readonly jwksUri?: string;
  /** Fetch keys over plain http from another machine, where the network in between is trusted. Default false. */
  readonly allowHttp?: boolean;
  /** Seconds between two fetches because of an unknown key. Default 30. */
  readonly cooldownSeconds?: number;
  /** For `sign: hmac`: what `signing-key --backend` prints; several while keys change. */
  readonly key?: string | Uint8Array | readonly (string | Uint8Array)[];
  /** Name of the header. Default `x-forwarded-user-assertion`. */
  readonly header?: string;
  /** Seconds by which clocks may differ. Default 5. */
  readonly toleranceSeconds?: number;
  /**
   * What to do about `body_sha256`. `when_present` (default): it is compared. `required`: a body must be covered.
   * `ignored`: for a check before the body has arrived.
   */
  readonly body?: 'when_present' | 'required' | 'ignored';
  /**
   * `allow` (default), `refuse` to remember in this process what was used, or a function that says whether a `jti` is
   * new, for a store that several processes share; it need not remember longer than until `expires`, in seconds since
   * the epoch.
   */
  readonly replay?: 'allow' | 'refuse' | ((jti: string, expires: number) => boolean | Promise<boolean>);
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly nowMs?: () => number;
}

/** What an assertion says (the attributes that the route propagates stand beside the claims named here). */
export interface VerifiedAssertion extends JWTPayload {
  readonly iss: string;
  readonly aud: string;
  readonly sub: string;
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  readonly htm: string;
  readonly htu?: string;
  readonly body_sha256?: string;
}

/** Headers of Node's `http`, or of a `Request`. */
export type RequestHeaders =
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | { get(name: string): string | null };

export interface VerifiedRequest {
  /** HTTP method. */
  readonly method: string;
  /** The bytes that arrived; a text stands for its UTF-8 form. */
  readonly body?: Uint8Array | string;
}

export interface Verifier {
  /**
   * @param from headers of a request, or the assertion itself (`params._meta.user.assertion`)
   * @throws AssertionRefused
   */
  readonly verify: (from: string | RequestHeaders, request: VerifiedRequest) => Promise<VerifiedAssertion>;
}

const PUBLIC_ALGORITHMS = ['ES256', 'EdDSA', 'RS256'];
const REQUIRED = ['iss', 'aud', 'sub', 'iat', 'exp', 'jti', 'htm'];
const BODILESS = ['GET', 'HEAD', 'DELETE', 'OPTIONS'];

/**
 * Verifies the assertions of one route for the server behind it.
 * @throws TypeError for options that make no sense
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const { issuer, backend, resource, toleranceSeconds = 5, nowMs = Date.now, replay = 'allow' } = options;
  const check = signatureCheck(options);
  const header = (options.header ?? 'x-forwarded-user-assertion').toLowerCase();
  const remembered = new Remembered();
  const isNew =
    typeof replay === 'function'
      ? replay
      : (jti: string, expires: number) => remembered.add(jti, expires + toleranceSeconds, nowMs() / 1000);

  return {
    async verify(from, request) {
      const assertion = typeof from === 'string' ? from : headerOf(from, header);
      if (!assertion) throw new AssertionRefused('assertion_missing');
      const now = nowMs();
      const payload = await check(assertion, {
        issuer,
        audience: backend,
        clockTolerance: toleranceSeconds,
        currentDate: new Date(now),
        requiredClaims: REQUIRED,
      });
      if (!isComplete(payload)) throw new AssertionRefused('claims_incomplete');
      if (payload.iat > now / 1000 + toleranceSeconds) throw new AssertionRefused('not_yet_valid');
      if (payload.htm !== request.method) throw new AssertionRefused('method_mismatch');
      if (resource !== undefined && payload.htu !== resource) throw new AssertionRefused('resource_mismatch');
      checkBody(payload.body_sha256, request, options.body ?? 'when_present');
      if (replay !== 'allow' && !(await isNew(payload.jti, payload.exp))) throw new AssertionRefused('replayed');
      return payload;
    },
  };
}

type SignatureCheck = (assertion: string, options: JWTVerifyOptions) => Promise<JWTPayload>;

/** One kind of key, one kind of algorithm: a public key is never a secret (RFC 8725 3.1). */
function signatureCheck({ jwksUri, allowHttp = false, cooldownSeconds = 30, key }: VerifierOptions): SignatureCheck {
  if ((jwksUri === undefined) === (key === undefined)) throw new TypeError('either jwksUri or key must be given');
  if (jwksUri !== undefined) {
    const keys = remoteKeys(keysUrl(jwksUri, allowHttp), cooldownSeconds * 1000);
    return (assertion, options) => judged(jwtVerify(assertion, keys, { ...options, algorithms: PUBLIC_ALGORITHMS }));
  }
  const given = key as string | Uint8Array | readonly (string | Uint8Array)[];
  const secrets = (Array.isArray(given) ? given : [given]).map(backendKey);
  if (secrets.length === 0) throw new TypeError('key must not be empty');
  return async (assertion, options) => {
    for (const [i, secret] of secrets.entries()) {
      try {
        return await judged(jwtVerify(assertion, secret, { ...options, algorithms: ['HS256'] }));
      } catch (error) {
        const other = error instanceof AssertionRefused && error.code === 'signature_wrong' && i + 1 < secrets.length;
        if (!other) throw error;
      }
    }
    throw new AssertionRefused('signature_wrong');
  };
}

async function judged(verification: Promise<JWTVerifyResult>): Promise<JWTPayload> {
  try {
    return (await verification).payload;
  } catch (cause) {
    throw new AssertionRefused(codeOf(cause), { cause });
  }
}

const CLAIM_CODES: Readonly<Record<string, RefusalCode>> = {
  iss: 'issuer_mismatch',
  aud: 'backend_mismatch',
  nbf: 'not_yet_valid',
};

function codeOf(error: unknown): RefusalCode {
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWTClaimValidationFailed)
    return (error.reason === 'check_failed' ? CLAIM_CODES[error.claim] : undefined) ?? 'claims_incomplete';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'signature_wrong';
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported) return 'alg_not_allowed';
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return 'key_unknown';
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return 'assertion_malformed';
  return 'keys_unavailable';
}

function isComplete(payload: JWTPayload): payload is VerifiedAssertion {
  const { sub, jti, aud, iat, exp, htm, htu, body_sha256: hash } = payload;
  const texts = [sub, jti, aud, htm].every((claim) => typeof claim === 'string' && claim !== '');
  const numbers = [iat, exp].every((claim) => typeof claim === 'number');
  return texts && numbers && [htu, hash].every((claim) => claim === undefined || typeof claim === 'string');
}

function checkBody(
  hash: string | undefined,
  { method, body }: VerifiedRequest,
  mode: NonNullable<VerifierOptions['body']>,
): void {
  if (mode === 'ignored') return;
  if (hash !== undefined) {
    const same = body !== undefined && createHash('sha256').update(body).digest('base64url') === hash;
    if (!same) throw new AssertionRefused('body_mismatch');
  } else if (mode === 'required' && (body === undefined ? !BODILESS.includes(method) : body.length > 0)) {
    throw new AssertionRefused('body_not_covered');
  }
}

/** @throws AssertionRefused when there are several: which one would be believed depends on who reads them */
function headerOf(headers: RequestHeaders, name: string): string | undefined {
  const value = typeof headers.get === 'function' ? headers.get(name) : (headers as Record<string, unknown>)[name];
  if (value === null || value === undefined) return undefined;
  if (typeof value !== 'string') throw new AssertionRefused('assertion_malformed');
  return value;
}
