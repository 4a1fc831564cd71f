import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, describe, it } from 'node:test';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, type StackOptions, startStack } from '../support/stack.ts';

describe('outages: nothing passes that should not, nothing breaks for good', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const url = () => `${stack.origin}/mcp`;
  const bearer = async (claims: Record<string, unknown> = {}, options = {}) => [
    'Authorization',
    `Bearer ${await issuer.token({ aud: url(), sub: 'alice', ...claims }, options)}`,
  ];
  const start = (more: Partial<StackOptions> = {}) =>
    startStack({
      ...more,
      config: { incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer }, guest: { type: 'anonymous' } } },
      routes: (origin) => [
        {
          prefix: '/mcp',
          policy: {
            backend: 'b',
            resource: `${origin}/mcp`,
            incomingAuth: ['corp', 'guest'],
            outgoingAuth: { type: 'claim_injection' },
          },
        },
      ],
    });

  before(async () => {
    issuer = await startIssuer();
  });
  afterEach(async () => {
    issuer.trouble = undefined;
    await stack?.stop();
  });
  after(() => issuer?.stop());

  it('issuer down at start: the service is up, calls get 503 with Retry-After, then work again by themselves', async () => {
    issuer.trouble = { status: 500 };
    stack = await start();
    assert.equal((await send(`${stack.adminUrl}/readyz`)).status, 200);
    const denied = await rpc(url(), toolCall('x'), await bearer());
    assert.equal(denied.status, 503);
    assert.ok(Number(denied.headers['retry-after']) >= 1);
    assert.equal(stack.backend.seen.length, 0);
    issuer.trouble = undefined;
    const deadline = Date.now() + 20_000;
    let answer = await rpc(url(), toolCall('x'), await bearer());
    while (answer.status === 503 && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, Number(answer.headers['retry-after']) * 1_000));
      answer = await rpc(url(), toolCall('x'), await bearer());
    }
    assert.equal(answer.status, 200, answer.body);
  });

  it('a call that waits too long hears so from the service, just before Envoy would give up', async () => {
    const timeout = '1s';
    issuer.trouble = 'hang';
    stack = await start({
      validate: false, // V-21: short, so that the test is
      extAuthz: { grpc_service: { envoy_grpc: { cluster_name: 'identity_grpc' }, timeout } },
    });
    const late = await rpc(url(), toolCall('x'), await bearer());
    assert.equal(late.status, 503);
    assert.ok(Number(late.headers['retry-after']) >= 1, 'Envoy itself sends no Retry-After');
    assert.equal(late.json().error.data.error, 'temporarily_unavailable');
    await stack.services[0]!.until(() => stack.audit().some(({ reason }) => reason === 'deadline_exceeded'));
  });

  it('issuer down later: known keys go on, also for tokens not seen before', async () => {
    stack = await start();
    assert.equal((await rpc(url(), toolCall('x'), await bearer())).status, 200);
    issuer.trouble = 'hang-up';
    assert.equal((await rpc(url(), toolCall('x'), await bearer({ sub: 'bob' }))).status, 200);
    assert.equal(
      (await rpc(url(), toolCall('x'), await bearer({}, { kid: 'new' }))).status,
      503,
      'a key that may be new cannot be judged',
    );
  });

  it('random kids cannot make us flood the issuer', async () => {
    stack = await start();
    assert.equal((await rpc(url(), toolCall('x'), await bearer())).status, 200);
    const before = issuer.requests.jwks;
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => rpc(url(), toolCall('x'), await bearer({}, { kid: `random-${i}` }))),
    );
    assert.ok(answers.every((answer) => answer.status === 401));
    assert.ok(issuer.requests.jwks - before <= 1, `${issuer.requests.jwks - before} fetches`);
  });

  it('service killed: 503, nothing passes, not even anonymous; after a restart it works again', async () => {
    stack = await start();
    const token = await bearer();
    assert.equal((await rpc(url(), toolCall('x'), token)).status, 200);
    const seen = stack.backend.seen.length;
    await stack.services[0]!.stop('SIGKILL');
    assert.equal((await rpc(url(), toolCall('x'), token)).status, 503);
    assert.equal((await rpc(url(), toolCall('x'))).status, 503);
    assert.equal(stack.backend.seen.length, seen);
    await stack.restartService();
    const deadline = Date.now() + 10_000;
    let answer = await rpc(url(), toolCall('x'), token);
    while (answer.status === 503 && Date.now() < deadline) answer = await rpc(url(), toolCall('x'), token); // Envoy reconnects with a back-off
    assert.equal(answer.status, 200);
  });

  it('SIGTERM: calls in flight finish, the process ends with 0, the audit is complete', async () => {
    stack = await start();
    await rpc(url(), toolCall('warm'), await bearer());
    const fetches = issuer.requests.jwks;
    const release = issuer.hold();
    const waiting = rpc(url(), toolCall('x'), await bearer({}, { kid: 'makes-it-fetch' }));
    while (issuer.requests.jwks === fetches) await new Promise((resolve) => setImmediate(resolve));
    const service = stack.services[0]!;
    service.process.kill('SIGTERM');
    await service.until(() => service.stderr.includes('draining'));
    release();
    const judged = await waiting;
    assert.equal(judged.status, 401, `judged, not cut off: ${judged.body} ${service.stdout} ${service.stderr}`);
    if (service.process.exitCode === null) await once(service.process, 'exit');
    assert.equal(service.process.exitCode, 0);
    assert.equal(stack.audit().filter((line) => line.event === 'decision').length, 2);
  });
});
