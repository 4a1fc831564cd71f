import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireWriter } from '../../../../src/envoy/codec/wire-writer.ts';
import { wire } from './oracle.ts';

for (const capacity of [0, 1, 64, 4096]) {
  test(`grows from ${capacity} bytes without losing any`, () => {
    const writer = new WireWriter(capacity);
    const long = 'x'.repeat(300);
    writer.double(7, -1.5);
    const inner = writer.mark();
    writer.uint(3, 0x7fff_ffff);
    writer.bytes(2, Buffer.from([0, 255]));
    writer.latin1(1, 'é');
    writer.message(6, inner);
    writer.utf8(5, 'é😀');
    writer.utf8(1, long);
    const number = Buffer.alloc(8);
    number.writeDoubleLE(-1.5);
    const expected = wire([
      [1, long],
      [5, 'é😀'],
      [
        6,
        [
          [1, Buffer.from([0xe9])],
          [2, Buffer.from([0, 255])],
          [3, 0x7fff_ffff],
        ],
      ],
    ]);
    assert.deepEqual(writer.finish(), Buffer.concat([expected, Buffer.from([0x39]), number]));
  });
}

for (const value of [0, 1, 127, 128, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, 0xfff_ffff, 0x1000_0000, 0x7fff_ffff]) {
  test(`uint writes ${value}`, () => {
    const writer = new WireWriter(1);
    writer.uint(1, value);
    assert.deepEqual(writer.finish(), wire([[1, value]]));
  });
}

test('an empty sub-message is written', () => {
  const writer = new WireWriter(2);
  writer.message(1, writer.mark());
  assert.deepEqual(writer.finish(), Buffer.from([0x0a, 0]));
});
