import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** An AES-256 key with the name it is found by; the name is not secret. */
export interface SealKey {
  /** 1 to 64 letters, digits, dots, dashes and underscores. */
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

export type Opened =
  | { readonly ok: true; readonly plaintext: Buffer; readonly keyId: string }
  /** Not a text that `seal` makes. */
  | { readonly ok: false; readonly fault: 'malformed' }
  /** Sealed with a key that is not (or no longer) among ours. */
  | { readonly ok: false; readonly fault: 'unknown_key'; readonly keyId: string }
  /** Changed after sealing, sealed for another purpose or with other associated data, or the key of that name is another one. */
  | { readonly ok: false; readonly fault: 'damaged'; readonly keyId: string };

/** Authenticated encryption for one purpose. */
export interface Sealer {
  /**
   * @param associated texts that must be the same when it is opened; they are not part of the result
   * @returns base64url; two seals of the same plaintext differ
   * @throws RangeError when the plaintext is larger than `MAX_SEALED_BYTES`
   */
  seal(plaintext: Uint8Array | string, associated: readonly string[]): string;
  /** Never throws, whatever the text is. */
  open(text: string, associated: readonly string[]): Opened;
}

/** The largest plaintext that is sealed or opened, in bytes. */
export const MAX_SEALED_BYTES = 256 * 1024;

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const MAX_KEY_ID_BYTES = 64;
const MAX_TEXT_LENGTH = Math.ceil(((2 + MAX_KEY_ID_BYTES + NONCE_BYTES + MAX_SEALED_BYTES + TAG_BYTES) * 4) / 3);
const KEY_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * AES-256-GCM with a key per purpose (HKDF-SHA256, empty salt, info `envoy-mcp-identity/seal/v1/<purpose>`), so that
 * what was sealed for one purpose never opens for another. The text is version, key id, nonce, ciphertext and tag;
 * version and key id are authenticated together with the associated data.
 *
 * The nonce is 96 random bits: NIST SP 800-38D 8.3 allows 2^32 seals with one key, so rotate keys that seal on
 * every request.
 * @param keys the first seals, all open
 * @throws when there is no key, a key is not 32 bytes, or a name is malformed or used twice
 */
export function createSealer(keys: readonly SealKey[], purpose: string): Sealer {
  const derived = new Map<string, KeyObject>();
  for (const { id, key } of keys) {
    if (!KEY_ID.test(id)) throw new Error(`"${id}" cannot be the id of a key`);
    if (derived.has(id)) throw new Error(`the key id "${id}" is used twice`);
    if (key.byteLength !== KEY_BYTES)
      throw new Error(`key "${id}" has ${key.byteLength} bytes instead of ${KEY_BYTES}`);
    const bytes = hkdfSync('sha256', key, Buffer.alloc(0), `envoy-mcp-identity/seal/v1/${purpose}`, KEY_BYTES);
    derived.set(id, createSecretKey(Buffer.from(bytes)));
  }
  const [first] = derived;
  if (!first) throw new Error(`no key to seal a ${purpose} with`);
  const [sealingId, sealingKey] = first;
  const header = Buffer.concat([Buffer.of(VERSION, sealingId.length), Buffer.from(sealingId, 'ascii')]);

  return {
    seal(plaintext, associated) {
      const bytes = typeof plaintext === 'string' ? Buffer.from(plaintext, 'utf8') : plaintext;
      if (bytes.byteLength > MAX_SEALED_BYTES) throw new RangeError(`${bytes.byteLength} bytes are too many to seal`);
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', sealingKey, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(authenticated(header, associated));
      const body = cipher.update(bytes);
      cipher.final();
      return Buffer.concat([header, nonce, body, cipher.getAuthTag()]).toString('base64url');
    },

    open(text, associated) {
      const parts = dissect(text);
      if (!parts) return { ok: false, fault: 'malformed' };
      const { keyId } = parts;
      const key = derived.get(keyId);
      if (!key) return { ok: false, fault: 'unknown_key', keyId };
      const decipher = createDecipheriv('aes-256-gcm', key, parts.nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(authenticated(parts.header, associated));
      decipher.setAuthTag(parts.tag);
      const plaintext = decipher.update(parts.body);
      try {
        decipher.final();
      } catch {
        return { ok: false, fault: 'damaged', keyId };
      }
      return { ok: true, plaintext, keyId };
    },
  };
}

/** The 32 bytes of a key as config files write it (base64 or base64url), undefined when it is anything else. */
export function decodeKey(text: string): Buffer | undefined {
  if (!/^(?:[A-Za-z0-9+/]{43}=?|[A-Za-z0-9_-]{43}=?)$/.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === KEY_BYTES ? bytes : undefined;
}

function dissect(text: string) {
  if (text.length > MAX_TEXT_LENGTH) return undefined;
  const bytes = Buffer.from(text, 'base64url');
  // Node reads base64 leniently. One sealed value must have one text, or "used once" could be told by another spelling.
  if (bytes.toString('base64url') !== text) return undefined;
  const bodyStart = 2 + (bytes[1] ?? 0) + NONCE_BYTES;
  const tagStart = bytes.length - TAG_BYTES;
  if (bytes[0] !== VERSION || bodyStart > tagStart) return undefined;
  const header = bytes.subarray(0, bodyStart - NONCE_BYTES);
  const keyId = header.toString('latin1', 2);
  if (!KEY_ID.test(keyId)) return undefined;
  return {
    header,
    keyId,
    nonce: bytes.subarray(header.length, bodyStart),
    body: bytes.subarray(bodyStart, tagStart),
    tag: bytes.subarray(tagStart),
  };
}

/** The header, then each text behind its length: no two lists give the same bytes. */
function authenticated(header: Buffer, associated: readonly string[]): Buffer {
  let size = header.length;
  for (const text of associated) size += 4 + Buffer.byteLength(text, 'utf8');
  const bytes = Buffer.allocUnsafe(size);
  let at = header.copy(bytes);
  for (const text of associated) {
    const length = bytes.write(text, at + 4, 'utf8');
    bytes.writeUInt32BE(length, at);
    at += 4 + length;
  }
  return bytes;
}
