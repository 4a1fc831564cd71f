import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireReader } from '../../../../src/envoy/codec/wire-reader.ts';
import { DecodeError } from '../../../../src/envoy/codec/wire.ts';
import { varint, wire } from './oracle.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const fails = (bytes: Buffer, read: (reader: WireReader, tag: number) => unknown, message: string) => {
  const reader = new WireReader(bytes);
  assert.throws(
    () => read(reader, reader.tag()),
    (error) => error instanceof DecodeError && error.message === message,
  );
};

for (const value of [0n, 1n, 127n, 128n, 300n, 0xffffn, 0x7fff_ffffn, 0xffff_ffffn]) {
  test(`uint32 reads ${value}`, () => {
    const reader = new WireReader(wire([[1, value]]));
    assert.equal(reader.uint32(reader.tag()), Number(value));
    assert.equal(reader.tag(), 0);
  });
}

for (const value of [0n, -1n, 1n, -128n, 0xffff_ffffn, 0x1_0000_0000n, 2n ** 53n - 1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
  test(`int64 reads ${value}`, () => {
    const reader = new WireReader(wire([[1, value]]));
    assert.equal(reader.int64(reader.tag()), Number(value));
    assert.equal(reader.tag(), 0);
  });
}

test('numbers of more than their bytes are refused', () => {
  fails(hex('08 ff ff ff ff 1f'), (reader, tag) => reader.uint32(tag), 'number is too long (at byte 6)');
  fails(hex('08 80 80 80 80 80 00'), (reader, tag) => reader.uint32(tag), 'number is too long (at byte 6)');
  fails(hex('08 ff ff ff ff ff ff ff ff ff 02'), (reader, tag) => reader.int64(tag), 'number is too long (at byte 11)');
  fails(
    hex('08 80 80 80 80 80 80 80 80 80 80 00'),
    (reader, tag) => reader.skip(tag),
    'number is too long (at byte 11)',
  );
});

test('a number that is cut off is refused', () => {
  fails(hex('08'), (reader, tag) => reader.uint32(tag), 'number is cut off (at byte 1)');
  fails(hex('08 80'), (reader, tag) => reader.int64(tag), 'number is cut off (at byte 2)');
  fails(hex('0a'), (reader, tag) => reader.span(tag), 'number is cut off (at byte 1)');
});

test('a length beyond the message is refused, also inside a sub-message', () => {
  fails(hex('0a 02 61'), (reader, tag) => reader.utf8(tag), 'field runs past its message (at byte 2)');
  fails(hex('0a ff ff ff ff 0f'), (reader, tag) => reader.bytes(tag), 'field runs past its message (at byte 6)');
  fails(
    hex('0a 02 0a 03 61 61 61'),
    (reader, tag) => {
      reader.enter(tag);
      reader.utf8(reader.tag());
    },
    'field runs past its message (at byte 4)',
  );
  fails(hex('09 01 02'), (reader, tag) => reader.double(tag), 'field runs past its message (at byte 1)');
  fails(hex('0d 01'), (reader, tag) => reader.skip(tag), 'field runs past its message (at byte 1)');
});

test('a field under another wire type is refused', () => {
  const wrong = 'wrong wire type (at byte 1)';
  fails(hex('08 01'), (reader, tag) => reader.utf8(tag), wrong);
  fails(hex('0a 00'), (reader, tag) => reader.uint32(tag), wrong);
  fails(hex('0a 00'), (reader, tag) => reader.int64(tag), wrong);
  fails(hex('0d 00 00 00 00'), (reader, tag) => reader.double(tag), wrong);
});

for (const [name, bytes] of [
  ['start', '0b 0c'],
  ['end', '0c'],
  ['six', '0e'],
  ['seven', '0f'],
] as const) {
  test(`groups and unknown wire types are refused: ${name}`, () => {
    fails(hex(bytes), (reader, tag) => reader.skip(tag), 'group or unknown wire type (at byte 1)');
  });
}

test('field number 0 is refused', () => {
  assert.throws(() => new WireReader(hex('02 00')).tag(), {
    name: 'DecodeError',
    message: 'no field number (at byte 1)',
  });
});

test('unknown fields of every kind are passed over', () => {
  const bytes = Buffer.concat([
    wire([[90, -1n]]),
    hex('f9 05 0102030405060708'),
    hex('fd 05 01020304'),
    wire([
      [95, 'unknown'],
      [1, 'known'],
    ]),
  ]);
  const reader = new WireReader(bytes);
  for (let i = 0; i < 4; i++) reader.skip(reader.tag());
  assert.equal(reader.utf8(reader.tag()), 'known');
  assert.equal(reader.tag(), 0);
});

test('text is UTF-8 or refused', () => {
  for (const text of ['', 'plain', 'é', '日本', '😀', 'sent as such: \ufffd']) {
    const reader = new WireReader(wire([[1, text]]));
    assert.equal(reader.utf8(reader.tag()), text);
  }
  for (const bytes of ['ff', 'c3', 'c0 80', 'ed a0 80', '61 e9 62']) {
    const field = Buffer.concat([hex('0a'), varint(BigInt(hex(bytes).length)), hex(bytes)]);
    fails(field, (reader, tag) => reader.utf8(tag), `text is not UTF-8 (at byte ${field.length})`);
  }
});

test('a bool is 0 or 1', () => {
  const read = (value: number) => {
    const reader = new WireReader(wire([[1, value]]));
    return reader.bool(reader.tag());
  };
  assert.equal(read(0), false);
  assert.equal(read(1), true);
  assert.throws(() => read(2), { name: 'DecodeError', message: 'neither true nor false (at byte 2)' });
});

test('equals compares whole fields', () => {
  const compare = (text: string) => {
    const reader = new WireReader(wire([[1, 'mcp.identity']]));
    return reader.equals(reader.tag(), text);
  };
  assert.equal(compare('mcp.identity'), true);
  assert.equal(compare('mcp.identitx'), false);
  assert.equal(compare('mcp.identit'), false);
  assert.equal(compare('mcp.identity2'), false);
});

test('enter and leave keep to their message', () => {
  const reader = new WireReader(
    wire([
      [1, [[2, 'in']]],
      [3, 7],
    ]),
  );
  const outer = reader.enter(reader.tag());
  assert.equal(reader.utf8(reader.tag()), 'in');
  assert.equal(reader.tag(), 0);
  reader.leave(outer);
  assert.equal(reader.uint32(reader.tag()), 7);
});
