import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Decision } from '../../src/core/decision.ts';
import { HeaderEdits } from '../../src/core/header-edits.ts';
import { type AuditRecord, systemClock, type Tools } from '../../src/core/ports.ts';
import type { RequestFacts } from '../../src/core/request-facts.ts';
import { createSealer } from '../../src/core/seal.ts';
import { createCheck } from '../../src/envoy/ext-authz.ts';
import { createProcess } from '../../src/envoy/ext-proc.ts';
import { createHealthService } from '../../src/envoy/health.ts';
import type { RunningServer } from '../../src/envoy/rpc.ts';
import { startGrpc } from '../../src/envoy/server.ts';
import { Carrier } from '../../src/pipeline/carry-out.ts';
import { type Plan, sealPlan } from '../../src/pipeline/plan.ts';
import { NAMESPACE } from '../../src/policy/route-policy.ts';
import { type Backend, startBackend } from '../support/backend.ts';
import { Child } from '../support/child.ts';
import { envoyConfig } from '../support/envoy-config.ts';
import { rpc } from '../support/http.ts';
import { freePorts } from '../support/ports.ts';
import { envoyBinary } from '../support/stack.ts';

const LIMIT_MS = 300;
const EVENT = 'data: {"jsonrpc":"2.0","method":"notifications/x"}\n\n';

/** Envoy with the service's own gRPC side, which waits for an answer's end for a moment only. */
describe('a list that does not end', () => {
  let backend: Backend;
  let grpc: RunningServer;
  let envoy: Child;
  let origin = '';
  const audit: AuditRecord[] = [];
  let onLeft = () => {};
  const folder = mkdtempSync(join(tmpdir(), 'emi-late-'));

  before(async () => {
    backend = await startBackend();
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const metrics = { counter: () => ({ inc() {} }), histogram: () => ({ observe() {} }), gauge() {} };
    const tools: Tools = { log, metrics, clock: systemClock };
    const sealer = createSealer([{ id: 'k', key: Buffer.alloc(32, 1) }], 'plan');
    const plan: Plan = {
      backend: 'b',
      strategy: 'unauthenticated',
      maxBody: 1024,
      hide: [],
      rpcId: '"a"',
      audit: {},
      list: { of: 'answer', hidden: {}, cacheable: false },
    };
    const parts = {
      sealer,
      sessions: undefined,
      signers: { jws: undefined, hmac: undefined, publicKeys: [] },
      invalidate() {},
      audit: { write: (record: AuditRecord) => void audit.push(record) },
      tools,
    };
    const allow = (facts: RequestFacts): Decision => ({
      kind: 'allow',
      edits: new HeaderEdits(),
      handoff: sealPlan(sealer, plan, facts.headers.get('x-request-id') ?? ''),
    });
    const decide = Object.assign(allow, {
      unreadable: (): Decision => ({ kind: 'deny', status: 500, headers: [], body: '' }),
    });
    grpc = await startGrpc(
      { address: '127.0.0.1:0', transport: 'http2', tls: undefined, maxMessage: 1 << 20 },
      {
        check: createCheck(decide, NAMESPACE, log),
        process: createProcess(() => new Carrier(parts), tools, LIMIT_MS),
        health: createHealthService({ ready: true, watch: () => () => {} }),
      },
      log,
    );
    const [listen, admin] = (await freePorts(2)) as [number, number];
    const grpcPort = Number(grpc.address.split(':')[1]);
    const config = envoyConfig(
      { listen, admin, backend: backend.port, grpc: [grpcPort], http: backend.port },
      [{ prefix: '/mcp', policy: { backend: 'b' } }],
      { extProc: true },
    );
    const file = join(folder, 'envoy.json');
    writeFileSync(file, JSON.stringify(config));
    envoy = new Child('envoy', envoyBinary(), ['-c', file, '--use-dynamic-base-id', '--concurrency', '1']);
    await envoy.until(() => envoy.stderr.includes('starting main dispatch loop'));
    origin = `http://127.0.0.1:${listen}`;
  });
  after(async () => {
    await envoy?.stop('SIGTERM');
    await grpc?.drain(1_000);
    await backend?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [what, type, start] of [
    ['an event stream that goes on', 'text/event-stream', EVENT],
    ['JSON that stops half-way', 'application/json', '{"jsonrpc":'],
    ['nothing but headers', 'application/json', ''],
  ] as const) {
    it(`${what}: 502 in time`, async () => {
      const left = new Promise<boolean>((resolve) => {
        setTimeout(() => resolve(false), 5_000).unref();
        onLeft = () => resolve(true);
      });
      backend.respond = (_seen, response) => {
        response.writeHead(200, { 'content-type': type });
        response.flushHeaders();
        if (start) response.write(start);
        response.on('close', onLeft);
      };
      const startedMs = performance.now();
      const answer = await rpc(`${origin}/mcp`, { jsonrpc: '2.0', id: 'a', method: 'tools/list' });
      const tookMs = performance.now() - startedMs;
      assert.equal(answer.status, 502);
      assert.equal(answer.json().id, 'a');
      assert.match(answer.json().error.message, /did not end/);
      assert.ok(tookMs >= LIMIT_MS && tookMs < LIMIT_MS + 5_000, `${tookMs} ms`);
      assert.deepEqual(
        audit.splice(0).map(({ outcome, reason, status }) => ({ outcome, reason, status })),
        [{ outcome: 'error', reason: 'list_late', status: 502 }],
      );
      assert.ok(await left, 'the backend is told to stop');
    });
  }

  it('one that ends in time passes', async () => {
    const body = '{"jsonrpc":"2.0","id":"a","result":{"tools":[{"name":"a"}]}}';
    backend.respond = (_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(EVENT);
      setTimeout(() => response.end(`data: ${body}\n\n`), 20);
    };
    const answer = await rpc(`${origin}/mcp`, { jsonrpc: '2.0', id: 'a', method: 'tools/list' });
    assert.equal(answer.body, `${EVENT}data: ${body}\n\n`);
  });
});
