import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { hashOf } from './vault/record-key.ts';

const SECRET_BYTES = 32;

/**
 * One browser, told from all others by a secret that only it brings along (a cookie). What is derived from it can be
 * finished by that browser alone, in any number of tabs: they share the secret, and each flow has an id of its own.
 */
export class Browser {
  readonly #secret: Buffer;
  /** Names this browser without giving its secret away. */
  readonly id: string;

  /** @param secret 32 bytes; new ones for a browser that is not known yet */
  constructor(secret: Buffer = randomBytes(SECRET_BYTES)) {
    this.#secret = secret;
    this.id = this.derive('id');
  }

  /** 43 characters of base64url, so also fit for a PKCE verifier (RFC 7636 4.1). */
  derive(purpose: string, ...texts: readonly string[]): string {
    return createHmac('sha256', this.#secret)
      .update(hashOf(purpose, ...texts))
      .digest('base64url');
  }

  /** Whether `text` is what `derive` gives; takes the same time wherever they differ. */
  derived(text: string | undefined, purpose: string, ...texts: readonly string[]): boolean {
    const expected = Buffer.from(this.derive(purpose, ...texts), 'ascii');
    const given = Buffer.from(text ?? '', 'utf8');
    return given.length === expected.length && timingSafeEqual(given, expected);
  }

  /** The bytes for the cookie, to be sealed. */
  bytes(): Buffer {
    return this.#secret;
  }

  /** @returns undefined when these are no bytes of a browser */
  static from(bytes: Buffer): Browser | undefined {
    return bytes.length === SECRET_BYTES ? new Browser(bytes) : undefined;
  }
}
