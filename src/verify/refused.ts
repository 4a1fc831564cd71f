/** Why an assertion proves nothing. Stable: code may compare them. */
export type RefusalCode =
  /** The request carries none. */
  | 'assertion_missing'
  /** It is no compact JWS with JSON inside, or there are several. */
  | 'assertion_malformed'
  /** Signed with an algorithm that keys of this kind do not have. */
  | 'alg_not_allowed'
  /** The key that signed it is not published, or not any more. */
  | 'key_unknown'
  /** The published keys could not be fetched. The only code that says nothing about the assertion. */
  | 'keys_unavailable'
  | 'signature_wrong'
  /** A claim that every assertion has is not there, or of another type. */
  | 'claims_incomplete'
  | 'issuer_mismatch'
  | 'backend_mismatch'
  | 'expired'
  | 'not_yet_valid'
  | 'method_mismatch'
  | 'resource_mismatch'
  /** It covers another body than that of the request, or the request's was not handed over. */
  | 'body_mismatch'
  /** It covers no body, though one is there and must be covered. */
  | 'body_not_covered'
  | 'replayed';

/** An assertion that was refused. The message is fixed for each code and holds nothing of the assertion. */
export class AssertionRefused extends Error {
  readonly code: RefusalCode;

  constructor(code: RefusalCode, options?: ErrorOptions) {
    super(`assertion refused: ${code}`, options);
    this.name = 'AssertionRefused';
    this.code = code;
  }
}
