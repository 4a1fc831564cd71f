import assert from 'node:assert/strict';
import { beforeEach, describe, it, mock } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadSync, type MethodDefinition } from '@grpc/proto-loader';
import type { Tools } from '../../../src/core/ports.ts';
import { createSealer } from '../../../src/core/seal.ts';
import { createProcess } from '../../../src/envoy/ext-proc.ts';
import { type Inlet, type Outlet, RPC_STATUS, type RpcStatus, type StreamHandler } from '../../../src/envoy/rpc.ts';
import { Carrier } from '../../../src/pipeline/carry-out.ts';
import { type Plan, sealPlan } from '../../../src/pipeline/plan.ts';

const INCLUDE = fileURLToPath(new URL('../../../proto', import.meta.url));
const processMethod = loadSync('envoy/service/ext_proc/v3/external_processor.proto', {
  includeDirs: [INCLUDE],
  keepCase: true,
  oneofs: true,
})['envoy.service.ext_proc.v3.ExternalProcessor'] as Record<string, MethodDefinition<object, any>>;
const { requestSerialize, responseDeserialize } = processMethod['Process']!;

/** envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode */
const BUFFERED = 2;

const headers = (map: Record<string, string>) => ({
  headers: { headers: Object.entries(map).map(([key, value]) => ({ key, raw_value: Buffer.from(value) })) },
});
const decided = (sealedPlan: string) => ({
  filter_metadata: {
    'envoy.filters.http.ext_authz': { fields: { 'mcp.identity.plan': { stringValue: sealedPlan } } },
  },
});
const BODY = { request_body: { body: Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}'), end_of_stream: true } };
const RESPONSE = { response_headers: headers({ ':status': '200' }) };

/** A stream as the gRPC server hands it over. */
class Call implements Outlet {
  readonly written: any[] = [];
  ended = false;
  failure: { code: RpcStatus; details: string } | undefined;
  readonly inlet: Inlet;
  constructor(process: StreamHandler) {
    this.inlet = process(this, { get: () => [] });
  }
  send(bytes: Buffer): void {
    this.written.push(responseDeserialize(bytes));
  }
  end(): void {
    this.ended = true;
  }
  fail(code: RpcStatus, details: string): void {
    this.failure = { code, details };
  }
  /** What Envoy sends. */
  receive(message: object): void {
    this.inlet.message(requestSerialize(message));
  }
}

describe('Process', () => {
  const sealer = createSealer([{ id: 'k1', key: Buffer.alloc(32, 1) }], 'plan');
  let streams = () => Number.NaN;
  const nothing = () => {};
  const tools: Tools = {
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    metrics: {
      counter: () => ({ inc: nothing }),
      histogram: () => ({ observe: nothing }),
      gauge: (_name, _help, read) => void (streams = read),
    },
    clock: { nowMs: () => 0 },
  };
  let open: () => Call;
  let carrier: Carrier;

  const newCarrier = () =>
    new Carrier({
      sealer,
      sessions: undefined,
      signers: {} as never, // nothing is signed here
      invalidate: nothing,
      audit: { write: nothing },
      tools,
    });
  const plan = (more: Partial<Plan> = {}): Plan => ({
    backend: 'b',
    strategy: 'unauthenticated',
    maxBody: 1_000,
    hide: ['www-authenticate'],
    audit: {},
    meta: { key: 'user', json: '{"id":"alice"}' },
    ...more,
  });
  const request = (sealed: string, requestId = 'r-1') => ({
    request_headers: headers({ 'x-request-id': requestId, 'content-type': 'application/json' }),
    metadata_context: decided(sealed),
  });

  beforeEach(() => {
    carrier = newCarrier();
    const process = createProcess(() => carrier, tools);
    open = () => new Call(process);
  });

  it('carries out the plan of this request', () => {
    const call = open();
    call.receive(request(sealPlan(sealer, plan(), 'r-1')));
    assert.equal(call.written[0].mode_override.request_body_mode, BUFFERED);
    call.receive(BODY);
    const { body_mutation: mutation } = call.written[1].request_body.response;
    assert.deepEqual(JSON.parse(String(mutation.body)).params, { _meta: { user: { id: 'alice' } } });
    assert.equal(streams(), 1);
    call.receive({ response_headers: headers({ ':status': '401', 'www-authenticate': 'Bearer' }) });
    assert.deepEqual(call.written[2].response_headers.response.header_mutation.remove_headers, ['www-authenticate']);
    call.inlet.end();
    assert.deepEqual([call.ended, streams(), call.failure], [true, 0, undefined]);
  });

  for (const [what, sealed] of [
    ['of another request', () => sealPlan(sealer, plan(), 'r-2')],
    [
      'made by nobody we know',
      () => sealPlan(createSealer([{ id: 'k1', key: Buffer.alloc(32, 2) }], 'plan'), plan(), 'r-1'),
    ],
    [
      'sealed for another purpose',
      () => sealPlan(createSealer([{ id: 'k1', key: Buffer.alloc(32, 1) }], 'session'), plan(), 'r-1'),
    ],
    ['that is none', () => 'eyJiYWNrZW5kIjoiYiJ9'],
    ['that is empty', () => ''],
  ] as const) {
    it(`a plan ${what} ends the request`, () => {
      const call = open();
      call.receive(request(sealed()));
      assert.equal(call.written.length, 1);
      assert.equal(call.written[0].immediate_response.status.code, 500);
      call.receive(BODY);
      assert.equal(call.written.length, 1, 'what comes later is too late');
    });
  }

  it('without a decision nothing is changed, whichever phase comes first', () => {
    for (const first of [RESPONSE, BODY, { request_headers: headers({}) }, { response_trailers: {} }]) {
      const call = open();
      call.receive(first);
      const [answer] = call.written;
      assert.equal(answer.response, Object.keys(first)[0]);
      assert.equal(answer.mode_override ?? null, null);
      call.inlet.end();
    }
    assert.equal(streams(), 0);
  });

  for (const [what, first, second] of [
    ['the same phase twice', BODY, BODY],
    ['a request behind its response', RESPONSE, { request_headers: headers({}) }],
    ['a body behind the response', RESPONSE, BODY],
  ] as const) {
    it(`${what}: the stream ends`, () => {
      const call = open();
      call.receive(first);
      call.receive(second);
      assert.equal(call.failure?.code, RPC_STATUS.INVALID_ARGUMENT);
      assert.equal(streams(), 0);
    });
  }

  for (const [what, bytes] of [
    ['no message', Buffer.from([0xff, 0xff, 0xff])],
    ['an empty message', Buffer.alloc(0)],
    ['a message of two kinds', Buffer.concat([requestSerialize(BODY), requestSerialize(RESPONSE)])],
  ] as const) {
    it(`${what}: the stream ends`, () => {
      const call = open();
      call.inlet.message(bytes);
      assert.notEqual(call.failure, undefined);
      assert.deepEqual([call.written, streams()], [[], 0]);
    });
  }

  it('a fault of ours ends the stream and says nothing of itself', () => {
    carrier.responseHeaders = () => {
      throw new Error('secret');
    };
    const call = open();
    call.receive(RESPONSE);
    assert.deepEqual(call.failure, { code: RPC_STATUS.INTERNAL, details: 'internal error' });
    assert.equal(streams(), 0);
  });

  it('each way to end counts once', () => {
    for (const events of [['closed'], ['end', 'closed'], ['end'], ['end', 'end', 'closed']] as const) {
      const call = open();
      assert.equal(streams(), 1);
      for (const event of events) call.inlet[event]();
      assert.equal(streams(), 0, events.join());
      call.receive(RESPONSE);
      assert.deepEqual(call.written, []);
    }
  });

  it('a body that does not come is not waited for for ever: 408', () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const call = open();
      call.receive(request(sealPlan(sealer, plan(), 'r-1')));
      const codes = [59_999, 1].map((milliseconds) => {
        mock.timers.tick(milliseconds);
        return call.written[1]?.immediate_response.status.code;
      });
      assert.deepEqual(codes, [undefined, 408]);
      call.receive(BODY);
      assert.equal(call.written.length, 2, 'what comes then is too late');
    } finally {
      mock.timers.reset();
    }
  });

  for (const [what, body, code] of [
    ['too large', Buffer.alloc(1_001, 'x'), 413],
    ['no JSON', Buffer.from('{'), 400],
    ['a batch', Buffer.from('[]'), 400],
  ] as const) {
    it(`a body that is ${what}: ${code}`, () => {
      const call = open();
      call.receive(request(sealPlan(sealer, plan(), 'r-1')));
      call.receive({ request_body: { body, end_of_stream: true } });
      assert.equal(call.written[1].immediate_response.status.code, code);
    });
  }

  it('what a session only likes to know is not asked for above the limit, or of unknown length', () => {
    const opens = { owner: null, elicitationUrl: null };
    const { meta: _, ...withoutMeta } = plan();
    const sealed = sealPlan(sealer, { ...withoutMeta, session: { opens } }, 'r-1');
    for (const [length, mode] of [
      ['1000', BUFFERED],
      ['1001', undefined],
      [undefined, undefined],
    ] as const) {
      carrier = newCarrier();
      const call = open();
      const all = {
        'x-request-id': 'r-1',
        'content-type': 'application/json',
        ...(length && { 'content-length': length }),
      };
      call.receive({ request_headers: headers(all), metadata_context: decided(sealed) });
      assert.equal(call.written[0].mode_override?.request_body_mode, mode);
    }
  });
});
