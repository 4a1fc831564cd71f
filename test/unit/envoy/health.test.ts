import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { listenHttp2 } from '../../../src/envoy/grpc-http2.ts';
import { createHealthService } from '../../../src/envoy/health.ts';
import type { RunningServer } from '../../../src/envoy/rpc.ts';

const LOG = { debug() {}, info() {}, warn() {}, error() {} };
const bytes = (buffer: Buffer) => buffer;
/** HealthCheckRequest.service is field 1; proto3 leaves an empty text out. */
const asking = (service: string) =>
  service === '' ? Buffer.alloc(0) : Buffer.from([0x0a, service.length, ...Buffer.from(service)]);
/** HealthCheckResponse.status is field 1: SERVING 1, NOT_SERVING 2. */
const SERVING = Buffer.from([0x08, 1]);
const NOT_SERVING = Buffer.from([0x08, 2]);

/** Bytes as they are on the wire: a client made with the same loader would hide what other clients leave out. */
describe('grpc.health.v1.Health', () => {
  let server: RunningServer;
  let client: Client;
  let ready = true;
  let onStopped = () => {};
  let tell: (ready: boolean) => void = () => {};

  before(async () => {
    const health = createHealthService({
      get ready() {
        return ready;
      },
      watch(listener) {
        tell = listener;
        return () => onStopped();
      },
    });
    server = await listenHttp2({ address: '127.0.0.1:0', tls: undefined, maxMessage: 1024 }, health, LOG);
    client = new Client(server.address, credentials.createInsecure());
  });
  after(async () => {
    client?.close();
    await server?.drain(1_000);
  });

  const check = (service: string) =>
    new Promise<Buffer>((resolve, reject) => {
      const deadline = { deadline: Date.now() + 5_000 };
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        bytes,
        bytes,
        asking(service),
        deadline,
        (error, answer) => (error ? reject(error) : resolve(answer ?? Buffer.alloc(0))),
      );
    });

  for (const service of ['', 'envoy.service.auth.v3.Authorization', 'envoy.service.ext_proc.v3.ExternalProcessor']) {
    it(`says how ${service || 'the whole server'} is`, async () => {
      ready = true;
      assert.deepEqual(await check(service), SERVING);
      ready = false;
      assert.deepEqual(await check(service), NOT_SERVING);
    });
  }

  it('knows no other service', async () => {
    await assert.rejects(check('x'), (error: ServiceError) => error.code === status.NOT_FOUND);
  });

  it('tells who watches of each change', async () => {
    ready = true;
    const call = client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', bytes, bytes, asking(''), {
      deadline: Date.now() + 5_000,
    });
    const seen: Buffer[] = [];
    await new Promise<void>((resolve, reject) => {
      call.on('error', reject);
      call.on('data', (answer: Buffer) => {
        seen.push(answer);
        if (seen.length === 2) return resolve();
        ready = false;
        tell(ready);
      });
    });
    assert.deepEqual(seen, [SERVING, NOT_SERVING]);
    const stopped = new Promise<void>((resolve) => (onStopped = resolve));
    call.removeAllListeners('error').on('error', () => {}); // our own cancellation
    call.cancel();
    await stopped; // who has left is told no more
  });
});
