import assert from 'node:assert/strict';
import type { ClientHttp2Session, OutgoingHttpHeaders } from 'node:http2';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { listenGrpcJs } from '../../src/envoy/grpc-js.ts';
import { listenHttp2 } from '../../src/envoy/grpc-http2.ts';
import type { RunningServer } from '../../src/envoy/rpc.ts';
import { exchange, GRPC_HEADERS, grpcFrame, type Seen, session } from '../support/http2-client.ts';
import { MAX_MESSAGE, TestMethods } from '../support/rpc-methods.ts';

const LOG = { debug() {}, info() {}, warn() {}, error() {} };
const to = (method: string, more: OutgoingHttpHeaders = {}): OutgoingHttpHeaders => ({
  ...GRPC_HEADERS,
  ':path': `/t.T/${method}`,
  ...more,
});
const without = (name: string): OutgoingHttpHeaders =>
  Object.fromEntries(Object.entries(to('Echo')).filter(([key]) => key !== name));
const abc = grpcFrame('abc');
/** The prefix of a message of so many bytes. */
function announced(length: number): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(length, 1);
  return prefix;
}

type Request = readonly [
  what: string,
  headers: OutgoingHttpHeaders,
  chunks: readonly Buffer[],
  end?: 'data' | 'trailers' | 'nothing',
];

const SAME: readonly Request[] = [
  ['one message', to('Echo'), [abc]],
  ['an empty message', to('Echo'), [grpcFrame('')]],
  ['byte by byte', to('Echo'), [...abc].map((byte) => Buffer.from([byte]))],
  ['empty DATA between', to('Echo'), [Buffer.alloc(0), abc.subarray(0, 4), Buffer.alloc(0), abc.subarray(4)]],
  ['trailers of the client', to('Echo'), [abc], 'trailers'],
  ['trailers and no message', to('Echo'), [], 'trailers'],
  ['no message', to('Echo'), []],
  ['two messages', to('Echo'), [Buffer.concat([abc, abc])]],
  ['two messages, DATA of their own', to('Echo'), [abc, abc]],
  ['too large, said by the prefix', to('Echo'), [announced(MAX_MESSAGE + 1)], 'nothing'],
  ['as large as a prefix can say', to('Echo'), [announced(0xffff_ffff)], 'nothing'],
  ['exactly as large as allowed', to('Echo'), [grpcFrame(Buffer.alloc(MAX_MESSAGE))]],
  ['unknown service', { ...to('Echo'), ':path': '/x.Y/Echo' }, [abc]],
  ['unknown method', to('echo'), [abc]],
  ['path with a query', { ...to('Echo'), ':path': '/t.T/Echo?x' }, [abc]],
  ['path /', { ...to('Echo'), ':path': '/' }, [abc]],
  ['a path that objects have', { ...to('Echo'), ':path': '/__proto__' }, [abc]],
  ['no content type', without('content-type'), [abc]],
  ['another content type', to('Echo', { 'content-type': 'application/json' }), [abc]],
  ['content type with a codec', to('Echo', { 'content-type': 'application/grpc+proto' }), [abc]],
  ['no te', without('te'), [abc]],
  ['a malformed timeout', to('Echo', { 'grpc-timeout': 'soon' }), [abc]],
  ['a timeout without a unit', to('Echo', { 'grpc-timeout': '5' }), [abc]],
  ['a long timeout', to('Echo', { 'grpc-timeout': '59S' }), [abc]],
  ['no time at all', to('Never', { 'grpc-timeout': '0m' }), [abc]],
  ['a short timeout', to('Never', { 'grpc-timeout': '20000u' }), [abc]],
  ['time is up before the message is there', to('Echo', { 'grpc-timeout': '20m' }), [abc.subarray(0, 6)], 'nothing'],
  ['an encoding that is not used', to('Echo', { 'grpc-encoding': 'gzip' }), [abc]],
  ['metadata', to('Echo', { 'x-a': 'b', 'x-b-bin': 'AAEC' }), [abc]],
  ['metadata that the handler reads', to('Trace', { traceparent: '00-a-b-01' }), [abc]],
  ['an exception', to('Throw'), [abc]],
  ['a rejection', to('Reject'), [abc]],
  ['a status', to('Status'), [abc]],
  ['a stream of none', to('Stream'), []],
  ['a stream of three', to('Stream'), [abc, abc, abc]],
  ['a stream of three in one DATA', to('Stream'), [Buffer.concat([abc, abc, abc])]],
  ['a stream that throws', to('Stream'), [grpcFrame('throw')]],
  ['a stream that fails after an answer', to('Stream'), [abc, grpcFrame('fail')]],
  ['a stream with a message that is too large', to('Stream'), [announced(MAX_MESSAGE + 1)], 'nothing'],
  ['a stream that runs out of time', to('Stream', { 'grpc-timeout': '50m' }), [abc], 'nothing'],
];

/** Where ours says something else, on purpose: what is not a gRPC call as it should be is never handled. */
const STRICTER: readonly [request: Request, ours: Partial<Seen>, theirs: Partial<Seen>][] = [
  [
    ['bytes behind the message', to('Echo'), [Buffer.concat([abc, Buffer.from([0, 0])])]],
    { grpcStatus: '13' },
    { grpcStatus: '0' },
  ],
  [['only a prefix', to('Echo'), [abc.subarray(0, 5)]], { grpcStatus: '13' }, { grpcStatus: '12' }],
  [['half a prefix', to('Echo'), [abc.subarray(0, 3)]], { grpcStatus: '13' }, { grpcStatus: '12' }],
  [['a flag that is none', to('Echo'), [grpcFrame('abc', 2)]], { grpcStatus: '13' }, { grpcStatus: '0' }],
  [['compressed, it says', to('Echo'), [grpcFrame('abc', 1)]], { grpcStatus: '12' }, { grpcStatus: '0' }],
  [['GET', to('Echo', { ':method': 'GET' }), [abc]], { status: 405 }, { grpcStatus: '0' }],
  [['gRPC-Web', to('Echo', { 'content-type': 'application/grpc-web' }), [abc]], { status: 415 }, { grpcStatus: '0' }],
  [
    ['a timeout with words', to('Echo', { 'grpc-timeout': 'at most 5S' }), [abc]],
    { grpcStatus: '13' },
    { grpcStatus: '0' },
  ],
  [['a stream that is cut off', to('Stream'), [abc.subarray(0, 6)]], { grpcStatus: '13' }, { grpcStatus: '0' }],
];

describe('both transports, asked the same', () => {
  const servers: RunningServer[] = [];
  const clients: ClientHttp2Session[] = [];

  before(async () => {
    for (const listen of [listenHttp2, listenGrpcJs]) {
      const options = { address: '127.0.0.1:0', tls: undefined, maxMessage: MAX_MESSAGE };
      const server = await listen(options, new TestMethods().table, LOG);
      servers.push(server);
      clients.push(await session(server.address));
    }
  });
  after(async () => {
    for (const client of clients) client.destroy();
    await Promise.all(servers.map((server) => server.drain(1_000)));
  });

  const ask = async ([, headers, chunks, end]: Request): Promise<[Seen, Seen]> =>
    Promise.all(clients.map((client) => exchange(client, headers, chunks, end))) as Promise<[Seen, Seen]>;
  /** What a client goes by; the words of refusals are each transport's own. */
  const essence = ({ status, grpcStatus, data }: Seen) => ({ status, grpcStatus, data: data.toString('latin1') });

  for (const request of SAME) {
    it(request[0], async () => {
      const [ours, theirs] = await ask(request);
      assert.ok(ours.status !== undefined, 'there is an answer');
      assert.deepEqual(essence(ours), essence(theirs));
    });
  }

  for (const [request, ours, theirs] of STRICTER) {
    it(`${request[0]}: ours is stricter`, async () => {
      const [first, second] = await ask(request);
      for (const [seen, expected] of [
        [first, ours],
        [second, theirs],
      ] as const)
        for (const [key, value] of Object.entries(expected)) assert.equal(seen[key as keyof Seen], value);
    });
  }

  it('messages cut anywhere', async () => {
    const message = fc.uint8Array({ maxLength: 300 }).map((bytes) => grpcFrame(Buffer.from(bytes)));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('Echo', 'Later', 'Stream'),
        fc.array(message, { minLength: 0, maxLength: 4 }),
        fc.array(fc.nat(1_500), { maxLength: 12 }),
        fc.constantFrom('data' as const, 'trailers' as const),
        async (method, messages, cuts, end) => {
          const all = Buffer.concat(messages);
          const points = [0, ...cuts.map((cut) => Math.min(cut, all.length)), all.length].toSorted((a, b) => a - b);
          const chunks = points.slice(1).map((point, i) => all.subarray(points[i], point));
          const [ours, theirs] = await ask(['', to(method), chunks, end]);
          assert.deepEqual(essence(ours), essence(theirs));
        },
      ),
      { numRuns: 200 },
    );
  });
});
