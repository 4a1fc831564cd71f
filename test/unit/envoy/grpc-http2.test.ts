import assert from 'node:assert/strict';
import { constants } from 'node:http2';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { listenHttp2, type Patience } from '../../../src/envoy/grpc-http2.ts';
import type { RunningServer } from '../../../src/envoy/rpc.ts';
import { exchange, GRPC_HEADERS, grpcFrame, session } from '../../support/http2-client.ts';
import { callFields, END_HEADERS, END_STREAM, FRAME, PREFACE, RawPeer, rawFrame } from '../../support/raw-http2.ts';
import { MAX_MESSAGE, PATIENCE, TestMethods } from '../../support/rpc-methods.ts';

const LOG = { debug() {}, info() {}, warn() {}, error() {} };
const SHORT_MS = 50;
const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_NO_ERROR } = constants;
const hello = grpcFrame('hello');
const headersOf = (stream: number, path: string, more?: Record<string, string>) =>
  rawFrame(FRAME.headers, END_HEADERS, stream, callFields(path, more));

/** What only our own transport promises: bounds on what a peer can make it hold or do. */
describe('gRPC on HTTP/2, with peers that misbehave', () => {
  let methods: TestMethods;
  let server: RunningServer;
  const peers: RawPeer[] = [];
  const peer = (): RawPeer => {
    const made = new RawPeer(server.address).greet();
    peers.push(made);
    return made;
  };
  const start = async (patience?: Partial<Patience>) => {
    methods = new TestMethods();
    const options = { address: '127.0.0.1:0', tls: undefined, maxMessage: MAX_MESSAGE };
    server = await listenHttp2(options, methods.table, LOG, { ...PATIENCE, ...patience });
  };
  /** Somebody else is answered. */
  const works = async (): Promise<void> => {
    const other = await session(server.address);
    const seen = await exchange(other, { ...GRPC_HEADERS, ':path': '/t.T/Echo' }, [hello]);
    assert.equal(seen.grpcStatus, '0');
    other.close();
  };

  beforeEach(() => start());
  afterEach(async () => {
    for (const { socket } of peers.splice(0)) socket.destroy();
    await server.drain(60_000); // hangs when a connection or a call is left over
    await methods.until(() => methods.open === 0);
  });
  const restart = async (patience: Partial<Patience>): Promise<void> => {
    await server.drain(1_000);
    await start(patience);
  };

  describe('that are slow', () => {
    beforeEach(() => restart({ unaryMs: SHORT_MS, messageMs: SHORT_MS, leaveMs: SHORT_MS }));

    for (const [what, path, data] of [
      ['a call of which nothing comes', '/t.T/Echo', Buffer.alloc(0)],
      ['a call whose message does not end', '/t.T/Echo', hello.subarray(0, 7)],
      ['a call that does not end after its message', '/t.T/Echo', hello],
      ['a stream whose message does not end', '/t.T/Stream', hello.subarray(0, 7)],
    ] as const) {
      it(`${what}: told so, then cut`, async () => {
        const slow = peer().write(headersOf(1, path), rawFrame(FRAME.data, 0, 1, data));
        assert.equal((await slow.frame(FRAME.reset, 1)).code, NGHTTP2_CANCEL);
        assert.ok(slow.frames.some(({ type }) => type === FRAME.headers));
      });
    }

    it('who asks for more time than we give gets ours', async () => {
      const slow = peer().write(headersOf(1, '/t.T/Hang', { 'grpc-timeout': '1H' }));
      slow.write(rawFrame(FRAME.data, END_STREAM, 1, hello));
      await methods.until(() => methods.open === 1);
      await slow.frame(FRAME.headers, 1);
      await methods.until(() => methods.open === 0);
    });

    it('answers that are not taken are dropped, of calls and of streams', async () => {
      const noWindow = rawFrame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])); // SETTINGS_INITIAL_WINDOW_SIZE 0
      const slow = peer().write(noWindow);
      slow.write(headersOf(1, '/t.T/Echo'), rawFrame(FRAME.data, END_STREAM, 1, hello));
      assert.equal((await slow.frame(FRAME.reset, 1)).code, NGHTTP2_CANCEL);
      slow.write(headersOf(3, '/t.T/Stream'));
      const piece = Buffer.alloc(16_000);
      const large = grpcFrame(Buffer.alloc(90_000));
      for (let at = 0; at < large.length; at += piece.length)
        slow.write(rawFrame(FRAME.data, 0, 3, large.subarray(at, at + piece.length)));
      assert.equal((await slow.frame(FRAME.reset, 3)).code, NGHTTP2_CANCEL);
    });

    it('a stream that is only quiet stays', async () => {
      const quiet = peer().write(headersOf(1, '/t.T/Stream'), rawFrame(FRAME.data, 0, 1, hello));
      await quiet.frame(FRAME.data, 1);
      await new Promise((resolve) => setTimeout(resolve, 4 * SHORT_MS)); // that nothing happens cannot be awaited
      assert.ok(!quiet.frames.some(({ type }) => type === FRAME.reset));
      assert.equal(methods.open, 1);
    });
  });

  describe('that are dead', () => {
    it('who never speaks HTTP/2 is cut off', async () => {
      await restart({ greetingMs: SHORT_MS });
      for (const beginning of [Buffer.alloc(0), PREFACE.subarray(0, 10), PREFACE]) {
        const silent = new RawPeer(server.address);
        peers.push(silent);
        await silent.write(beginning).closed;
      }
      const spoken = peer();
      await spoken.roundTrip();
      await new Promise((resolve) => setTimeout(resolve, 4 * SHORT_MS)); // that nothing happens cannot be awaited
      await spoken.roundTrip();
    });

    it('who does not answer pings is cut off, and its calls are aborted; who is only idle is not', async () => {
      await restart({ askEveryMs: SHORT_MS, answerMs: SHORT_MS });
      const idle = await session(server.address);
      const dead = peer().write(headersOf(1, '/t.T/Hang'), rawFrame(FRAME.data, END_STREAM, 1, hello));
      await methods.until(() => methods.open === 1);
      await dead.closed;
      await methods.until(() => methods.open === 0);
      assert.equal((await exchange(idle, { ...GRPC_HEADERS, ':path': '/t.T/Echo' }, [hello])).grpcStatus, '0');
      idle.close();
    });

    it('a connection on which an error follows a GOAWAY is cut off', async () => {
      await restart({ askEveryMs: SHORT_MS, answerMs: SHORT_MS });
      const odd = peer().write(
        headersOf(1, '/t.T/Hang'),
        rawFrame(FRAME.goaway, 0, 0, Buffer.alloc(8)),
        rawFrame(FRAME.data, 0, 1),
        rawFrame(FRAME.data, END_STREAM, 1, hello),
        rawFrame(FRAME.data, END_STREAM, 1, hello),
      );
      odd.socket.end();
      await odd.closed;
    });
  });

  it('a message in pieces of one byte takes the memory of its bytes, not that of its pieces', async () => {
    const bytes = 200_000;
    const slow = peer().write(
      headersOf(1, '/t.T/Echo'),
      rawFrame(FRAME.data, 0, 1, grpcFrame(Buffer.alloc(bytes + 1)).subarray(0, 5)),
    );
    const piece = rawFrame(FRAME.data, 0, 1, 'x');
    const before = process.memoryUsage();
    for (let sent = 0; sent < bytes; sent += 10_000) {
      slow.write(...Array.from({ length: 10_000 }, () => piece));
      await slow.roundTrip();
    }
    globalThis.gc?.();
    const after = process.memoryUsage();
    const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    assert.ok(grown < 100 * bytes, `${grown} bytes`);
    slow.write(rawFrame(FRAME.data, END_STREAM, 1, 'x'));
    await slow.frame(FRAME.data, 1);
  });

  it('a reset aborts the work, whatever its code', async () => {
    const rude = peer();
    for (const [i, code] of [NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM].entries()) {
      const { aborts } = methods;
      const id = 2 * i + 1;
      rude.write(headersOf(id, '/t.T/Hang'), rawFrame(FRAME.data, END_STREAM, id, hello));
      await methods.until(() => methods.open === 1);
      rude.write(rawFrame(FRAME.reset, 0, id, Buffer.from([0, 0, 0, code])));
      await methods.until(() => methods.open === 0);
      assert.equal(methods.aborts, aborts + 1);
    }
  });

  it('a reset before the end of the request: nothing is handled', async () => {
    const rude = peer();
    for (const [i, code] of [NGHTTP2_NO_ERROR, NGHTTP2_CANCEL].entries()) {
      const id = 2 * i + 1;
      rude.write(
        headersOf(id, '/t.T/Hang'),
        rawFrame(FRAME.data, 0, id, hello),
        rawFrame(FRAME.reset, 0, id, Buffer.from([0, 0, 0, code])),
      );
      await rude.roundTrip();
      await turn();
      assert.equal(methods.open, 0);
    }
  });

  it('as many resets as Envoy sends without graceful closing are no attack', async () => {
    const hasty = peer();
    const rounds = 40;
    const each = 200;
    let id = 1;
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < each; i++, id += 2)
        hasty.write(
          headersOf(id, '/t.T/Stream'),
          rawFrame(FRAME.data, 0, id, hello),
          rawFrame(FRAME.reset, 0, id, Buffer.from([0, 0, 0, NGHTTP2_NO_ERROR])),
        );
      await hasty.roundTrip();
    }
    assert.ok(!hasty.socket.destroyed);
  });

  for (const [what, flood] of [
    ['resets', (id: number) => [headersOf(id, '/t.T/Stream'), rawFrame(FRAME.reset, 0, id, Buffer.alloc(4))]],
    ['pings', () => [rawFrame(FRAME.ping, 0, 0, '12345678')]],
    ['settings', () => [rawFrame(FRAME.settings, 0, 0)]],
    ['empty data', () => [rawFrame(FRAME.data, 0, 1)]],
    ['priorities', (id: number) => [rawFrame(FRAME.priority, 0, id, Buffer.alloc(5, 1))]],
    ['headers that go on and on', () => [rawFrame(FRAME.more, 0, 1, callFields('/t.T/Echo'))]],
  ] as const) {
    it(`a flood of ${what}: others are answered, and memory stays`, async () => {
      const rss = process.memoryUsage().rss;
      const attacker = peer();
      attacker.write(
        what.startsWith('headers')
          ? rawFrame(FRAME.headers, 0, 1, callFields('/t.T/Echo'))
          : headersOf(1, '/t.T/Stream'),
      );
      attacker.socket.pause(); // takes no answers
      for (let round = 0; round < 40 && !attacker.socket.destroyed; round++) {
        const frames = Array.from({ length: 1_000 }, (_, i) => flood(2 * (1_000 * round + i) + 3)).flat();
        if (!attacker.socket.write(Buffer.concat(frames)))
          await Promise.race([new Promise((resolve) => attacker.socket.once('drain', resolve)), works()]);
        if (round % 10 === 0) await works();
      }
      await works();
      assert.ok(process.memoryUsage().rss - rss < 150 * 1024 * 1024);
    });
  }

  it('large headers end the call, not the service', async () => {
    const attacker = peer();
    const big = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x-${i}`, 'v'.repeat(120)]));
    const block = callFields('/t.T/Echo', {
      ...big,
      ...Object.fromEntries(Object.entries(big).map(([k, v]) => [`y${k}`, v])),
    });
    attacker.write(rawFrame(FRAME.headers, 0, 1, block.subarray(0, 16_000)));
    attacker.write(rawFrame(FRAME.more, END_HEADERS, 1, block.subarray(16_000)));
    assert.equal((await attacker.frame(FRAME.reset, 1)).code, NGHTTP2_ENHANCE_YOUR_CALM);
    await works();
  });

  it('what is no HTTP/2 is cut off', async () => {
    for (const text of ['GET / HTTP/1.1\r\nhost: x\r\n\r\n', '\0'.repeat(100), '\x16\x03\x01\x02\0\x01\0\x01\xfc']) {
      const stranger = new RawPeer(server.address);
      peers.push(stranger);
      stranger.socket.write(text, 'latin1');
      await stranger.closed;
    }
    await works();
  });
});
