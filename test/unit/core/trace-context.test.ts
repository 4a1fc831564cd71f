import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type CallMetadata, readTraceparent, traceOf, writeTraceparent } from '../../../src/core/trace-context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const GOOD = `00-${TRACE}-${SPAN}-01`;
const metadata = (values: Readonly<Record<string, string>>): CallMetadata => ({
  get: (name) => (values[name] === undefined ? [] : [values[name]]),
});

describe('traceparent', () => {
  test('what is good is read, and written as it was', () => {
    const read = readTraceparent(GOOD);
    assert.deepEqual(read, { traceId: TRACE, spanId: SPAN, sampled: true });
    assert.equal(read && writeTraceparent(read), GOOD);
    assert.equal(readTraceparent(`00-${TRACE}-${SPAN}-00`)?.sampled, false);
  });

  test('a later version may say more', () => {
    assert.equal(readTraceparent(`01-${TRACE}-${SPAN}-01-more`)?.traceId, TRACE);
  });

  for (const [why, text] of [
    ['none', undefined],
    ['empty', ''],
    ['upper case', GOOD.toUpperCase()],
    ['version ff', `ff-${TRACE}-${SPAN}-01`],
    ['version 00 with more', `${GOOD}-more`],
    ['something before', ` ${GOOD}`],
    ['something behind', `${GOOD}x`],
    ['two in one', `${GOOD},${GOOD}`],
    ['no trace', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['no span', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['short', `00-${TRACE.slice(1)}-${SPAN}-01`],
    ['a line break', `${GOOD}\n`],
    ['a later version without end', `01-${TRACE}-${SPAN}-01-${'x'.repeat(1_000)}`],
  ] as const)
    test(`refused: ${why}`, () => assert.equal(readTraceparent(text), undefined));

  test('a state that is too long is left out, the rest stays', () => {
    assert.equal(readTraceparent(GOOD, 'a=b')?.state, 'a=b');
    assert.equal(readTraceparent(GOOD, 'a'.repeat(513))?.state, undefined);
  });
});

describe('the trace of a request', () => {
  const other = `00-${'1'.repeat(32)}-${SPAN}-01`;

  test('Envoy’s own comes before what a client says', () => {
    const flat = ['traceparent', other, 'tracestate', 'client=1'];
    assert.deepEqual(traceOf({ flat }, metadata({ traceparent: GOOD, tracestate: '' })), readTraceparent(GOOD));
    assert.equal(traceOf({ flat }, metadata({}))?.traceId, '1'.repeat(32));
    assert.equal(traceOf({ flat }, undefined)?.state, 'client=1');
  });

  test('two headers are none', () => {
    assert.equal(traceOf({ flat: ['traceparent', GOOD, 'traceparent', other] }, undefined), undefined);
  });

  test('B3 of Envoy’s Zipkin tracer, with short ids too; never from a client', () => {
    const b3 = { 'x-b3-traceid': TRACE.slice(16), 'x-b3-spanid': SPAN, 'x-b3-sampled': '0' };
    const read = traceOf({ flat: [] }, metadata(b3));
    assert.deepEqual(read, { traceId: `${'0'.repeat(16)}${TRACE.slice(16)}`, spanId: SPAN, sampled: false });
    assert.equal(traceOf({ flat: Object.entries(b3).flat() }, metadata({})), undefined);
    assert.equal(traceOf({ flat: [] }, metadata({ ...b3, 'x-b3-spanid': 'x' })), undefined);
  });
});
