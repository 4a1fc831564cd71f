import assert from 'node:assert/strict';
import { createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { MAX_SEALED_BYTES, createSealer, decodeKey } from '../../../src/core/seal.ts';
import type { SealKey, Sealer } from '../../../src/core/seal.ts';

const newKey = (id: string): SealKey => ({ id, key: randomBytes(32) });
const key = newKey('k1');
const sealer = createSealer([key], 'ticket');
const fault = (opener: Sealer, text: string, associated: readonly string[] = []) => {
  const opened = opener.open(text, associated);
  return opened.ok ? 'none' : opened.fault;
};

describe('seal and open', () => {
  test('gives back any bytes and any text, with the same associated data', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.array(fc.string({ unit: 'binary' })), (bytes, associated) => {
        const opened = sealer.open(sealer.seal(bytes, associated), associated);
        assert.ok(opened.ok);
        assert.deepEqual(new Uint8Array(opened.plaintext), bytes);
        assert.equal(opened.keyId, 'k1');
      }),
    );
    const opened = sealer.open(sealer.seal('Grüße 🔑', ['é']), ['é']);
    assert.equal(opened.ok && opened.plaintext.toString('utf8'), 'Grüße 🔑');
  });

  test('never gives the same text twice', () => {
    const texts = Array.from({ length: 100 }, () => sealer.seal('the same', []));
    assert.equal(new Set(texts).size, 100);
  });

  test('is compact, and safe in URLs and headers', () => {
    const text = sealer.seal('x'.repeat(100), ['associated data take no room']);
    assert.match(text, /^[A-Za-z0-9_-]+$/);
    assert.equal(text.length, Math.ceil(((2 + 'k1'.length + 12 + 100 + 16) * 4) / 3));
  });

  test('has the documented form: read by other code', () => {
    const bytes = Buffer.from(sealer.seal('plain', ['ab', 'ü']), 'base64url');
    assert.deepEqual([bytes[0], bytes[1], bytes.toString('ascii', 2, 4)], [1, 2, 'k1']);
    const derived = hkdfSync('sha256', key.key, '', 'envoy-mcp-identity/seal/v1/ticket', 32);
    const decipher = createDecipheriv('aes-256-gcm', Buffer.from(derived), bytes.subarray(4, 16));
    decipher.setAAD(Buffer.concat([bytes.subarray(0, 4), Buffer.from('\0\0\0\x02ab\0\0\0\x02ü', 'utf8')]));
    decipher.setAuthTag(bytes.subarray(-16));
    assert.equal(decipher.update(bytes.subarray(16, -16), undefined, 'utf8') + decipher.final('utf8'), 'plain');
  });
});

describe('what does not open', () => {
  test('a text of another purpose', () => {
    const session = createSealer([key], 'session');
    assert.equal(fault(session, sealer.seal('a ticket', [])), 'damaged');
    assert.equal(fault(sealer, session.seal('a session', [])), 'damaged');
  });

  test('other associated data, also when they join to the same text', () => {
    const cases: [string[], string[]][] = [
      [
        ['ab', 'c'],
        ['a', 'bc'],
      ],
      [['ab', 'c'], ['abc']],
      [
        ['a', 'b'],
        ['b', 'a'],
      ],
      [[], ['']],
      [[''], ['', '']],
      [['a'], []],
    ];
    for (const [sealedWith, openedWith] of cases) {
      assert.equal(fault(sealer, sealer.seal('x', sealedWith), openedWith), 'damaged');
      assert.equal(fault(sealer, sealer.seal('x', openedWith), sealedWith), 'damaged');
    }
  });

  test('a text with any bit changed, any end missing, or anything added', () => {
    const bytes = Buffer.from(sealer.seal('plaintext', ['a']), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      assert.notEqual(fault(sealer, changed.toString('base64url'), ['a']), 'none', `bit ${bit}`);
    }
    for (let length = 0; length < bytes.length; length++) {
      assert.notEqual(fault(sealer, bytes.toString('base64url', 0, length), ['a']), 'none', `${length} bytes`);
    }
    assert.equal(fault(sealer, Buffer.concat([bytes, Buffer.of(0)]).toString('base64url'), ['a']), 'damaged');
  });

  test('the same bytes spelled differently: what is used once has one spelling', () => {
    const text = sealer.seal('', []); // 32 bytes: the last character carries 2 bits that mean nothing
    assert.equal(fault(sealer, text), 'none');
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = alphabet.indexOf(text.at(-1) as string);
    const spellings = [1, 2, 3].map((bits) => text.slice(0, -1) + (alphabet[last + bits] ?? ''));
    const all = [
      ...spellings,
      `${text}=`,
      `${text}==`,
      ` ${text}`,
      `${text}\n`,
      `${text.slice(0, 9)}!${text.slice(9)}`,
    ];
    for (const spelling of all) {
      assert.ok(Buffer.from(spelling, 'base64url').equals(Buffer.from(text, 'base64url')), 'Node reads them alike');
      assert.equal(fault(sealer, spelling), 'malformed', spelling);
    }
    const dashed = Array.from({ length: 200 }, () => sealer.seal('', [])).find((sealed) => /[-_]/.test(sealed));
    assert.ok(dashed);
    assert.equal(fault(sealer, dashed.replaceAll('-', '+').replaceAll('_', '/')), 'malformed');
  });

  test('any other text, without throwing', () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.base64String(),
      fc.uint8Array().map((bytes) => Buffer.from([1, ...bytes]).toString('base64url')),
    );
    fc.assert(fc.property(anything, (text) => assert.notEqual(fault(sealer, text), 'none')));
    for (const bytes of [[], [1], [2, 2], [1, 255], [1, 0], [1, 2, 0x6b, 0x31]]) {
      assert.equal(fault(sealer, Buffer.from(bytes).toString('base64url')), 'malformed');
    }
    const oddName = Buffer.concat([Buffer.of(1, 3), Buffer.from('k\n1'), Buffer.alloc(28)]).toString('base64url');
    assert.equal(fault(sealer, oddName), 'malformed', 'a name that could not be ours is not repeated in errors');
  });

  test('what is too large', () => {
    const largest = sealer.seal(Buffer.alloc(MAX_SEALED_BYTES), []);
    assert.equal(fault(sealer, largest), 'none');
    assert.throws(() => sealer.seal(Buffer.alloc(MAX_SEALED_BYTES + 1), []), RangeError);
    assert.equal(fault(sealer, largest.repeat(2)), 'malformed');
    assert.equal(fault(sealer, 'A'.repeat(10_000_000)), 'malformed');
  });
});

describe('keys', () => {
  test('the first seals, all open, and a missing one is named', () => {
    const [old, fresh] = [newKey('2026.1'), newKey('2027_1')];
    const before = createSealer([old], 'ticket');
    const during = createSealer([fresh, old], 'ticket');
    const after = createSealer([fresh], 'ticket');
    const [fromBefore, fromDuring] = [before.seal('x', []), during.seal('x', [])];
    assert.deepEqual(during.open(fromBefore, []), { ok: true, plaintext: Buffer.from('x'), keyId: '2026.1' });
    assert.deepEqual(after.open(fromDuring, []), { ok: true, plaintext: Buffer.from('x'), keyId: '2027_1' });
    assert.deepEqual(after.open(fromBefore, []), { ok: false, fault: 'unknown_key', keyId: '2026.1' });
  });

  test('another key under the same name opens nothing', () => {
    const opened = createSealer([newKey('k1')], 'ticket').open(sealer.seal('x', []), []);
    assert.deepEqual(opened, { ok: false, fault: 'damaged', keyId: 'k1' });
  });

  test('a name of 64 characters is the longest', () => {
    const long = createSealer([newKey('x'.repeat(64))], 'ticket');
    assert.equal(fault(long, long.seal(Buffer.alloc(MAX_SEALED_BYTES), [])), 'none');
  });

  test('unusable keys are refused, without showing them', () => {
    const refused = (keys: readonly SealKey[], message: RegExp) =>
      assert.throws(
        () => createSealer(keys, 'ticket'),
        (error: Error) => {
          assert.match(error.message, message);
          for (const { key: bytes } of keys) assert.ok(!error.message.includes(Buffer.from(bytes).toString('base64')));
          return true;
        },
      );
    refused([], /no key to seal a ticket with/);
    refused([{ id: 'short', key: randomBytes(16) }], /key "short" has 16 bytes instead of 32/);
    refused([key, { id: 'long', key: randomBytes(33) }], /key "long" has 33 bytes instead of 32/);
    refused([key, newKey('k1')], /the key id "k1" is used twice/);
    for (const id of ['', 'x'.repeat(65), 'ö', 'a b', '-a']) refused([newKey(id)], /cannot be the id of a key/);
  });

  test('keys are read from base64 and base64url, and only when they are 32 bytes', () => {
    const bytes = Buffer.alloc(32, 0xfb);
    for (const text of [bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('base64').slice(0, -1)]) {
      assert.deepEqual(decodeKey(text), bytes, text);
    }
    const wrong = [randomBytes(31), randomBytes(33), randomBytes(24), randomBytes(64), Buffer.alloc(0)];
    for (const text of wrong) assert.equal(decodeKey(text.toString('base64')), undefined);
    for (const text of [`${bytes.toString('base64')}\n`, 'x'.repeat(44), '#'.repeat(43), bytes.toString('hex')]) {
      assert.equal(decodeKey(text), undefined, text);
    }
  });
});
