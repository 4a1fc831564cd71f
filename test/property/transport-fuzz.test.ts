import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { listenHttp2 } from '../../src/envoy/grpc-http2.ts';
import type { RunningServer } from '../../src/envoy/rpc.ts';
import { exchange, GRPC_HEADERS, grpcFrame, session } from '../support/http2-client.ts';
import { callFields, END_HEADERS, END_STREAM, FRAME, PREFACE, RawPeer, rawFrame } from '../support/raw-http2.ts';
import { MAX_MESSAGE, PATIENCE, TestMethods } from '../support/rpc-methods.ts';

const LOG = { debug() {}, info() {}, warn() {}, error() {} };
const code = (value: number): Buffer => Buffer.from([0, 0, 0, value]);

const path = fc.constantFrom('/t.T/Echo', '/t.T/Later', '/t.T/Hang', '/t.T/Throw', '/t.T/Stream', '/t.T/None');
const streamId = fc.constantFrom(1, 3, 5, 7);
const text = fc.constantFrom('abc', 'throw', 'fail', 'end', '');
const aFrame: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(streamId, path, fc.boolean()).map(([id, to, end]) => headers(id, to, end)) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(streamId, text, fc.boolean(), fc.integer({ min: 0, max: 2 }))
      .map(([id, word, end, flag]) => rawFrame(FRAME.data, end ? END_STREAM : 0, id, grpcFrame(word, flag))),
  },
  fc
    .tuple(streamId, fc.uint8Array({ maxLength: 40 }))
    .map(([id, bytes]) => rawFrame(FRAME.data, 0, id, Buffer.from(bytes))),
  fc.tuple(streamId, fc.nat(13)).map(([id, value]) => rawFrame(FRAME.reset, 0, id, code(value))),
  fc
    .tuple(streamId, fc.nat(0xffff))
    .map(([id, size]) => rawFrame(FRAME.window, 0, id, Buffer.from([0, 0, size >> 8, size & 255]))),
  fc.nat(1).map((ack) => rawFrame(FRAME.settings, ack, 0)),
  fc.nat(1).map((ack) => rawFrame(FRAME.ping, ack, 0, '12345678')),
  fc.nat(13).map((value) => rawFrame(FRAME.goaway, 0, 0, Buffer.concat([Buffer.alloc(4), code(value)]))),
  fc.nat(0xffff).map((size) => rawFrame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, 0, size >> 8, size & 255]))),
  fc
    .tuple(fc.nat(12), fc.nat(255), fc.nat(9), fc.uint8Array({ maxLength: 30 }))
    .map(([type, flags, id, bytes]) => rawFrame(type, flags, id, Buffer.from(bytes))),
);

function headers(id: number, to: string, end: boolean): Buffer {
  return rawFrame(FRAME.headers, END_HEADERS | (end ? END_STREAM : 0), id, callFields(to, { 'grpc-timeout': '1S' }));
}

/** What happens to the bytes on their way. */
type Damage = { readonly kind: 'flip' | 'cut' | 'drop'; readonly at: number; readonly value: number };
const damage: fc.Arbitrary<Damage> = fc.record({
  kind: fc.constantFrom('flip' as const, 'cut' as const, 'drop' as const),
  at: fc.nat(2_000),
  value: fc.integer({ min: 1, max: 255 }),
});

function damaged(bytes: Buffer, { kind, at, value }: Damage): Buffer {
  const place = bytes.length === 0 ? 0 : at % bytes.length;
  if (kind === 'cut') return bytes.subarray(0, place);
  if (kind === 'drop') return Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + value)]);
  const changed = Buffer.from(bytes);
  if (changed.length > 0) changed[place] = (changed[place] as number) ^ value;
  return changed;
}

/** Older ones abort the process when DATA for a new stream follows a GOAWAY, with @grpc/grpc-js too (22.23). */
const skip = Number.parseInt(process.versions.node, 10) < 24 && 'Node 22 cannot take it, whichever the transport';

describe('gRPC on HTTP/2, sent anything (from Node 24 on)', { skip }, () => {
  let server: RunningServer;
  const methods = new TestMethods();

  before(async () => {
    const options = { address: '127.0.0.1:0', tls: undefined, maxMessage: MAX_MESSAGE };
    server = await listenHttp2(options, methods.table, LOG, { ...PATIENCE, askEveryMs: 200, answerMs: 1_000 });
  });
  after(async () => {
    await server?.drain(60_000); // hangs when a connection is left over
    await methods.until(() => methods.open === 0);
  });

  const works = async (): Promise<void> => {
    const other = await session(server.address);
    const seen = await exchange(other, { ...GRPC_HEADERS, ':path': '/t.T/Echo' }, [grpcFrame('abc')]);
    assert.deepEqual([seen.grpcStatus, seen.data.toString('latin1', 5)], ['0', 'abc']);
    other.close();
  };

  const send = async (bytes: Buffer, cuts: readonly number[], leave: 'end' | 'destroy'): Promise<void> => {
    const peer = new RawPeer(server.address);
    let from = 0;
    for (const cut of [...cuts.map((at) => Math.min(at, bytes.length)).toSorted((a, b) => a - b), bytes.length]) {
      if (cut > from) {
        peer.write(bytes.subarray(from, cut));
        await new Promise((resolve) => setImmediate(resolve)); // so that it travels by itself
      }
      from = cut;
    }
    if (leave === 'destroy') peer.socket.destroy();
    else peer.socket.end();
    await peer.closed;
  };

  it('frames in any order, of any kind: no crash, nobody else is harmed, nothing is left', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(aFrame, { maxLength: 25 }),
        fc.array(fc.nat(1_500), { maxLength: 5 }),
        fc.constantFrom('end' as const, 'destroy' as const),
        async (frames, cuts, leave) => {
          await send(Buffer.concat([PREFACE, rawFrame(FRAME.settings, 0, 0), ...frames]), cuts, leave);
        },
      ),
      { numRuns: 600 },
    );
    await works();
  });

  it('bytes flipped, lost and cut off', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(aFrame, { minLength: 1, maxLength: 12 }),
        fc.array(damage, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(800), { maxLength: 3 }),
        async (frames, damages, cuts) => {
          const whole = Buffer.concat([PREFACE, rawFrame(FRAME.settings, 0, 0), ...frames]);
          await send(damages.reduce(damaged, whole), cuts, 'end');
        },
      ),
      { numRuns: 600 },
    );
    await works();
  });

  it('what is no connection at all', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), (bytes) => send(Buffer.from(bytes), [], 'end')),
      { numRuns: 200 },
    );
    await works();
  });
});
