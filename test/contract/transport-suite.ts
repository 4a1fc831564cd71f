import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  Client,
  type ClientDuplexStream,
  credentials,
  type CallOptions,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import type { Log } from '../../src/core/ports.ts';
import type { ListenOptions, RpcMethods, RunningServer } from '../../src/envoy/rpc.ts';
import { exchange, GRPC_HEADERS, grpcFrame, session } from '../support/http2-client.ts';
import { MAX_MESSAGE, ODD_TEXT, TestMethods } from '../support/rpc-methods.ts';

type Listen = (options: ListenOptions, methods: RpcMethods, log: Log) => Promise<RunningServer>;
const bytes = (buffer: Buffer): Buffer => buffer;
const LIMIT = (): CallOptions => ({ deadline: Date.now() + 20_000 });

/** What every transport must do, asked by the client of @grpc/grpc-js. */
export function transportContract(transport: string, listen: Listen): void {
  describe(`gRPC by ${transport}`, () => {
    let methods: TestMethods;
    let server: RunningServer;
    let client: Client;
    const logged: string[] = [];
    const nothing = () => {};
    const log: Log = {
      debug: nothing,
      info: nothing,
      warn: nothing,
      error: (message, fields) => void logged.push(message + JSON.stringify(fields)),
    };
    const start = async () => {
      methods = new TestMethods();
      server = await listen({ address: '127.0.0.1:0', tls: undefined, maxMessage: MAX_MESSAGE }, methods.table, log);
      // A channel of its own each time: grpc-js shares connections between clients of one address.
      const own = { 'grpc.use_local_subchannel_pool': 1, 'grpc.max_receive_message_length': -1 };
      client = new Client(server.address, credentials.createInsecure(), own);
    };
    before(start);
    after(async () => {
      client?.close();
      await server?.drain(5_000);
    });

    const call = (method: string, message: Buffer, options = LIMIT()): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(`/t.T/${method}`, bytes, bytes, message, new Metadata(), options, (error, answer) =>
          error ? reject(error) : resolve(answer ?? Buffer.alloc(0)),
        );
      });
    const fails = (promise: Promise<unknown>, code: status, details?: string) =>
      assert.rejects(promise, (error: ServiceError) => {
        assert.equal(error.code, code, error.message);
        if (details !== undefined) assert.equal(error.details, details);
        return true;
      });
    const open = () => client.makeBidiStreamRequest('/t.T/Stream', bytes, bytes, LIMIT());
    const failureOf = (stream: ClientDuplexStream<Buffer, Buffer>): Promise<ServiceError> =>
      new Promise((resolve) => stream.resume().once('error', (error) => resolve(error as ServiceError)));

    for (const size of [0, 1, 16_384, 65_530, 65_536, 1_000_000, MAX_MESSAGE]) {
      it(`answers with what it was sent: ${size} bytes`, async () => {
        const message = Buffer.alloc(size, 'abc');
        assert.ok((await call('Echo', message)).equals(message));
        assert.ok((await call('Later', message)).equals(message));
      });
    }

    it('many calls at a time', async () => {
      const sent = Array.from({ length: 500 }, (_, i) => Buffer.from(`call ${i}`));
      const got = await Promise.all(sent.map((message, i) => call(i % 2 ? 'Echo' : 'Later', message)));
      assert.deepEqual(got, sent);
    });

    it('what a handler throws is INTERNAL and stays in the log', async () => {
      logged.length = 0;
      await fails(call('Throw', Buffer.from('x')), status.INTERNAL, 'internal error');
      await fails(call('Reject', Buffer.from('x')), status.INTERNAL, 'internal error');
      assert.equal(logged.filter((line) => line.includes('secret')).length, 2);
    });

    it('a status keeps its code and its text', () =>
      fails(call('Status', Buffer.from('x')), status.NOT_FOUND, ODD_TEXT));

    it('unknown methods are UNIMPLEMENTED', () => fails(call('None', Buffer.from('x')), status.UNIMPLEMENTED));

    it('a message above the limit is RESOURCE_EXHAUSTED', async () => {
      await fails(call('Echo', Buffer.alloc(MAX_MESSAGE + 1)), status.RESOURCE_EXHAUSTED);
      assert.equal((await call('Echo', Buffer.from('next'))).toString(), 'next');
    });

    it('work is aborted just before the deadline, so that the peer still hears what it answers then', async () => {
      const patient = await session(server.address);
      const headers = { ...GRPC_HEADERS, ':path': '/t.T/Hang', 'grpc-timeout': '2000m' };
      const seen = await exchange(patient, headers, [grpcFrame('x')]);
      assert.deepEqual([seen.status, seen.grpcStatus], [200, String(status.OK)]);
      assert.match(String(seen.data), /too late$/);
      await methods.until(() => methods.open === 0);
      patient.close();
    });

    it('work that goes on after its deadline: the peer that still waits hears DEADLINE_EXCEEDED', async () => {
      const patient = await session(server.address);
      const headers = { ...GRPC_HEADERS, ':path': '/t.T/Slow', 'grpc-timeout': '50m' };
      const seen = await exchange(patient, headers, [grpcFrame('x')]);
      assert.deepEqual([seen.status, seen.grpcStatus], [200, String(status.DEADLINE_EXCEEDED)]);
      patient.close();
    });

    it('a call that is given up is aborted', async () => {
      const { aborts } = methods;
      const given = client.makeUnaryRequest('/t.T/Hang', bytes, bytes, Buffer.from('x'), nothing);
      await methods.until(() => methods.open === 1);
      given.cancel();
      await methods.until(() => methods.open === 0);
      assert.equal(methods.aborts, aborts + 1);
    });

    it('a connection that breaks aborts its calls and streams', async () => {
      const other = await session(server.address);
      for (const name of ['Hang', 'Stream', 'Stream']) {
        const stream = other.request({ ...GRPC_HEADERS, ':path': `/t.T/${name}` });
        stream.on('error', nothing);
        if (name === 'Hang') stream.end(grpcFrame('x'));
      }
      await methods.until(() => methods.open === 3);
      other.destroy();
      await methods.until(() => methods.open === 0);
    });

    it('a stream answers each message, in order, and ends well', async () => {
      const stream = open();
      const got: string[] = [];
      const ended = new Promise<number>((resolve, reject) => {
        stream.on('data', (message: Buffer) => got.push(message.toString()));
        stream.on('status', ({ code }) => resolve(code));
        stream.on('error', reject);
      });
      const sent = Array.from({ length: 1_000 }, (_, i) => `message ${i}`);
      for (const message of sent) stream.write(Buffer.from(message));
      stream.end();
      assert.equal(await ended, status.OK);
      assert.deepEqual(got, sent);
      await methods.until(() => methods.open === 0);
    });

    for (const [word, code, details] of [
      ['throw', status.INTERNAL, 'internal error'],
      ['fail', status.NOT_FOUND, ODD_TEXT],
    ] as const) {
      it(`a stream whose handler does "${word}" ends with its status; what is sent later is lost`, async () => {
        for (const first of [[], ['hello']]) {
          const stream = open();
          const failure = failureOf(stream);
          for (const message of [...first, word, 'more']) stream.write(Buffer.from(message));
          const { code: got, details: text } = await failure;
          assert.deepEqual([got, text], [code, details]);
          await methods.until(() => methods.open === 0);
        }
      });
    }

    it('a stream that the server ends first', async () => {
      const stream = open();
      const ended = new Promise((resolve) => stream.resume().once('status', ({ code }) => resolve(code)));
      stream.write(Buffer.from('end'));
      assert.equal(await ended, status.OK);
      stream.end();
      await methods.until(() => methods.open === 0);
    });

    it('a stream that is given up is closed once', async () => {
      const stream = open();
      const failure = failureOf(stream);
      stream.write(Buffer.from('hello'));
      await methods.until(() => methods.open === 1);
      stream.cancel();
      assert.equal((await failure).code, status.CANCELLED);
      await methods.until(() => methods.open === 0);
    });

    it('while a peer takes no answers, its messages wait', async () => {
      const slow = await session(server.address);
      const stream = slow.request({ ...GRPC_HEADERS, ':path': '/t.T/Stream' });
      const frame = grpcFrame(Buffer.alloc(65_536));
      const count = 200;
      const before = methods.received;
      for (let i = 0; i < count; i++) stream.write(frame);
      stream.end();
      // Nothing reads the answers: the server comes to rest, which round trips without progress show.
      for (let still = 0, last = -1; still < 20; still++) {
        if (methods.received !== last) still = 0;
        last = methods.received;
        await new Promise((resolve) => slow.ping(resolve));
      }
      assert.ok(methods.received - before < 40, `${methods.received - before} messages were answered into the void`);
      let size = 0;
      for await (const chunk of stream) size += (chunk as Buffer).length;
      assert.equal(size, count * frame.length);
      slow.close();
    });

    it('draining lets calls in flight finish and takes no new ones', async () => {
      const inFlight = call('Slow', Buffer.from('x'));
      await call('Echo', Buffer.from('the one before has arrived'));
      const drained = server.drain(20_000);
      methods.release();
      assert.equal((await inFlight).toString(), 'x');
      await drained;
      await fails(call('Echo', Buffer.from('x'), { deadline: Date.now() + 2_000 }), status.UNAVAILABLE);
      client.close();
      await start();
    });

    it('draining cuts what does not finish', async () => {
      const stuck = call('Hang', Buffer.from('x'));
      await methods.until(() => methods.open === 1);
      const rejected = assert.rejects(stuck);
      await server.drain(100);
      await rejected;
      await methods.until(() => methods.open === 0);
      client.close();
      await start();
    });
  });
}
