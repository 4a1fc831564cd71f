import assert from 'node:assert/strict';
import { scryptSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { parsePasswordHash, passwordMatches } from '../../../src/authn/password-hash.ts';

const BCRYPT = hashSync('Zoë:1', 4);
const SALT = Buffer.from('salt of 16 bytes');
const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
const scrypt = (password: string, hashBytes = 32) => {
  const hash = scryptSync(Buffer.from(password, 'utf8'), SALT, hashBytes, { N: 16, r: 8, p: 2 });
  return `$scrypt$ln=4,r=8,p=2$${base64(SALT)}$${base64(hash)}`;
};

test('hashes that other programs have made', () => {
  const table = [
    // test vectors of jBCrypt
    ['a', '$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe'],
    ['abcdefghijklmnopqrstuvwxyz', '$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC'],
    // passlib's documentation
    ['password', '$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E'],
  ] as const;
  for (const [password, hash] of table) {
    assert.equal(passwordMatches(hash, password), true, hash);
    assert.equal(passwordMatches(hash, `${password}x`), false, hash);
  }
});

test('passwords are UTF-8, and every byte counts', () => {
  for (const hash of [BCRYPT, BCRYPT.replace('$2b', '$2a'), BCRYPT.replace('$2b', '$2y'), scrypt('Zoë:1')]) {
    assert.equal(passwordMatches(hash, 'Zoë:1'), true, hash);
    for (const wrong of ['', 'Zoe:1', 'Zoë:', 'Zoë:12', 'zoë:1', 'Zo\u0065\u0308:1']) {
      assert.equal(passwordMatches(hash, wrong), false, `${hash} ${wrong}`);
    }
  }
});

test('of a password, bcrypt reads 72 bytes and scrypt all', () => {
  const long = 'x'.repeat(72);
  assert.equal(passwordMatches(hashSync(long, 4), `${long}y`), true);
  assert.equal(passwordMatches(scrypt(long), `${long}y`), false);
});

describe('what is no hash to check passwords with', () => {
  const table: readonly [what: string, hash: string][] = [
    ['nothing', ''],
    ['a password', 'hunter2'],
    ['another algorithm', '$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA'],
    ['bcrypt with the sign bug', BCRYPT.replace('$2b', '$2x')],
    ['bcrypt cut short', BCRYPT.slice(0, -1)],
    ['bcrypt with more behind it', `${BCRYPT}.`],
    ['bcrypt with a line break', `${BCRYPT}\n`],
    ['bcrypt below its least cost', BCRYPT.replace('$04$', '$03$')],
    ['bcrypt that takes minutes', BCRYPT.replace('$04$', '$16$')],
    ['scrypt without a hash', `$scrypt$ln=4,r=8,p=2$${base64(SALT)}$`],
    ['scrypt with a hash that can be guessed', scrypt('x', 8)],
    ['scrypt without a salt', scrypt('x').replace(base64(SALT), '')],
    ['scrypt with N = 1', scrypt('x').replace('ln=4', 'ln=0')],
    ['scrypt with r = 0', scrypt('x').replace('r=8', 'r=0')],
    ['scrypt with p = 0', scrypt('x').replace('p=2', 'p=0')],
    ['scrypt of 512 MiB', scrypt('x').replace('ln=4,r=8,p=2', 'ln=19,r=8,p=1')],
    ['scrypt with too many rounds', scrypt('x').replace('ln=4,r=8,p=2', 'ln=17,r=8,p=5')],
    ['scrypt with padding', `${scrypt('x')}=`],
  ];
  for (const [what, hash] of table) {
    test(what, () => {
      assert.equal(parsePasswordHash(hash), undefined);
      assert.throws(() => passwordMatches(hash, 'x'), { message: 'not a password hash' });
    });
  }

  test('the dearest that are accepted', () => {
    assert.ok(parsePasswordHash(BCRYPT.replace('$04$', '$15$')));
    assert.ok(parsePasswordHash(scrypt('x').replace('ln=4,r=8,p=2', 'ln=18,r=8,p=2')));
  });
});
