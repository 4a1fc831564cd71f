import { scryptSync, timingSafeEqual } from 'node:crypto';
import { compareSync } from 'bcryptjs';

type PasswordHash =
  | { readonly kind: 'bcrypt'; readonly text: string }
  | { readonly kind: 'scrypt'; readonly cost: ScryptCost; readonly salt: Buffer; readonly hash: Buffer };

interface ScryptCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** 2^15 rounds take seconds; more would outlast every caller. */
const BCRYPT = /^\$2[aby]\$(0[4-9]|1[0-5])\$[./A-Za-z0-9]{53}$/;
/** The PHC string format: costs, salt and hash in base64 without padding. */
const SCRYPT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,128})\$([A-Za-z0-9+/]{22,171})$/;
/** RFC 7914 2: 128 · N · r bytes. */
const MAX_SCRYPT_BYTES = 256 * 1024 ** 2;
/** N · r · p; four times what OWASP asks for (N = 2^17, r = 8, p = 1). */
const MAX_SCRYPT_WORK = 2 ** 22;

/** @returns undefined when `text` is not a hash that passwords can be checked with, in reasonable time and memory */
export function parsePasswordHash(text: string): PasswordHash | undefined {
  if (BCRYPT.test(text)) return { kind: 'bcrypt', text };
  const [, ln, r, p, salt = '', hash = ''] = SCRYPT.exec(text) ?? [];
  const cost = { N: 2 ** Number(ln), r: Number(r), p: Number(p) };
  const possible = cost.N > 1 && cost.r > 0 && cost.p > 0; // NaN where nothing matched
  if (!possible || 128 * cost.N * cost.r > MAX_SCRYPT_BYTES || cost.N * cost.r * cost.p > MAX_SCRYPT_WORK)
    return undefined;
  return { kind: 'scrypt', cost, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') };
}

/**
 * Slow on purpose, and it blocks: for password-worker.ts. Of a password, bcrypt reads the first 72 bytes.
 * @throws when `text` is no hash, or there is not enough memory
 */
export function passwordMatches(text: string, password: string): boolean {
  const parsed = parsePasswordHash(text);
  if (!parsed) throw new Error('not a password hash');
  if (parsed.kind === 'bcrypt') return compareSync(password, parsed.text);
  const { cost, salt, hash } = parsed;
  const options = { ...cost, maxmem: 2 * MAX_SCRYPT_BYTES };
  return timingSafeEqual(scryptSync(Buffer.from(password, 'utf8'), salt, hash.length, options), hash);
}
