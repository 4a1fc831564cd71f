/**
 * `unavailable`: the store did not answer, or not in time; a write may or may not have happened.
 * `unknown_key`: the record was sealed with a key that is not configured. `damaged`: it does not open with the key
 * it names. Neither deletes anything: the record opens again once the key is back.
 */
export type VaultErrorCode = 'unavailable' | 'unknown_key' | 'damaged';

/** Something is wrong with the vault itself. The message holds no token and no personal data. */
export class VaultError extends Error {
  override readonly name = 'VaultError';
  readonly code: VaultErrorCode;
  /** The record it is about, as `grants list` shows it. */
  readonly record: string | undefined;
  /** The key the record names. */
  readonly keyId: string | undefined;

  constructor(
    code: VaultErrorCode,
    message: string,
    about: { record?: string; keyId?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, about.cause === undefined ? undefined : { cause: about.cause });
    this.code = code;
    this.record = about.record;
    this.keyId = about.keyId;
  }
}
