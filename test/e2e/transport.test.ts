import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { continueHeaders } from '../../src/envoy/codec/processing-response.ts';
import { createHealthService } from '../../src/envoy/health.ts';
import { type Inlet, type Outlet, RPC_STATUS, RpcError, type RunningServer } from '../../src/envoy/rpc.ts';
import { startGrpc } from '../../src/envoy/server.ts';
import { type Backend, startBackend } from '../support/backend.ts';
import { Child } from '../support/child.ts';
import { envoyConfig } from '../support/envoy-config.ts';
import { rpc, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { freePorts } from '../support/ports.ts';
import { envoyBinary, type Stack, startStack } from '../support/stack.ts';

const LOAD = fileURLToPath(new URL('../support/load-child.ts', import.meta.url));
const LOG = { debug() {}, info() {}, warn() {}, error() {} };
/** CheckResponse: status OK (field 1), ok_response (field 3). */
const ALLOW = Buffer.from([0x0a, 0, 0x1a, 0]);

for (const transport of ['http2', 'grpc-js'] as const) {
  describe(`Envoy, with the service's gRPC by ${transport}`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'emi-transport-'));
    let backend: Backend;
    let grpc: RunningServer;
    let envoy: Child;
    let url = '';
    let check: (signal: AbortSignal) => Promise<Buffer> | Buffer;
    let process: (outlet: Outlet) => Partial<Inlet>;
    const settle = { message() {}, end() {}, closed() {} };

    before(async () => {
      backend = await startBackend();
      const health = createHealthService({ ready: true, watch: () => () => {} });
      grpc = await startGrpc(
        { address: '127.0.0.1:0', transport, tls: undefined, maxMessage: 64 * 1024 },
        { check: (_bytes, signal) => check(signal), process: (outlet) => ({ ...settle, ...process(outlet) }), health },
        LOG,
      );
      const [listen, admin] = (await freePorts(2)) as [number, number];
      const config = envoyConfig(
        { listen, admin, backend: backend.port, grpc: [Number(grpc.address.split(':')[1])], http: backend.port },
        [{ prefix: '/mcp', policy: { backend: 'b' } }],
        { extProc: true, extAuthz: { grpc_service: { envoy_grpc: { cluster_name: 'identity_grpc' }, timeout: '1s' } } },
      );
      const file = join(folder, 'envoy.json');
      writeFileSync(file, JSON.stringify(config));
      envoy = new Child('envoy', envoyBinary(), ['-c', file, '--use-dynamic-base-id', '--concurrency', '1']);
      await envoy.until(() => envoy.stderr.includes('starting main dispatch loop'));
      url = `http://127.0.0.1:${listen}/mcp`;
    });
    after(async () => {
      await envoy?.stop('SIGTERM');
      await grpc?.drain(1_000);
      await backend?.stop();
      rmSync(folder, { recursive: true, force: true });
    });
    beforeEach(() => {
      check = () => ALLOW;
      process = (outlet) => {
        const kinds = ['request_headers', 'response_headers'] as const;
        let next = 0;
        return {
          message: () => outlet.send(continueHeaders(kinds[next++] ?? 'response_headers', {})),
          end: () => outlet.end(),
        };
      };
    });
    const refused = async (): Promise<void> => {
      const before = backend.seen.length;
      const { status } = await rpc(url, toolCall('x'));
      assert.ok(status >= 500, `${status}`);
      assert.equal(backend.seen.length, before, 'the backend saw it');
    };

    it('an answer lets the request pass', async () => {
      assert.equal((await rpc(url, toolCall('x'))).status, 200);
    });

    for (const [what, broken] of [
      [
        'throws',
        () => {
          throw new Error('secret');
        },
      ],
      ['rejects', () => Promise.reject(new Error('secret'))],
      ['gives a status', () => Promise.reject(new RpcError(RPC_STATUS.NOT_FOUND, 'x'))],
      ['gives what is no message', () => Buffer.from([0xff, 0xff])],
    ] as const) {
      it(`a Check that ${what} lets nothing pass`, async () => {
        check = broken;
        await refused();
      });
    }

    it('a Check that takes too long lets nothing pass, and is aborted', async () => {
      const aborted = new Promise<void>((resolve) => {
        check = (signal) => new Promise(() => signal.addEventListener('abort', () => resolve()));
      });
      await refused();
      await aborted;
    });

    it('a message that is too large lets nothing pass', async () => {
      const before = backend.seen.length;
      const answer = await rpc(url, { ...toolCall('x'), params: { filler: 'x'.repeat(100_000) } });
      assert.ok(answer.status >= 500);
      assert.equal(backend.seen.length, before);
    });

    for (const [what, broken] of [
      [
        'throws',
        () => ({
          message() {
            throw new Error('secret');
          },
        }),
      ],
      ['fails', (outlet: Outlet) => ({ message: () => outlet.fail(RPC_STATUS.INTERNAL, 'x') })],
      [
        'cannot begin',
        () => {
          throw new Error('secret');
        },
      ],
    ] as const) {
      it(`a Process that ${what} lets nothing pass`, async () => {
        process = broken;
        await refused();
      });
    }
  });
}

describe('an Envoy that resets its ext_proc streams', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  before(async () => {
    issuer = await startIssuer();
    stack = await startStack({
      extProc: true,
      gracefulClose: false,
      validate: false, // V-24 asks for graceful closing
      config: { incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } } },
      routes: (origin) => [
        {
          prefix: '/mcp',
          policy: {
            backend: 'b',
            resource: `${origin}/mcp`,
            incomingAuth: ['corp'],
            outgoingAuth: { type: 'claim_injection' }, // nothing is left for ext_proc to do, its streams are there
          },
        },
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });

  it('6,000 of them, 1,500 a second: not one call fails', async () => {
    const token = await issuer.token({ aud: `${stack.origin}/mcp`, sub: 'alice' });
    const load = new Child('load', globalThis.process.execPath, [LOAD, `${stack.origin}/mcp`, token, '6000', '1500']);
    try {
      await load.until(() => load.stdout.endsWith('\n'), 55_000);
    } finally {
      await load.stop();
    }
    assert.deepEqual(JSON.parse(load.stdout), { '200': 6_000 });
  });
});
