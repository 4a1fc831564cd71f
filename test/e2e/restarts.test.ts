import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Child } from '../support/child.ts';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { freePorts } from '../support/ports.ts';
import { Load } from '../support/reconfigure.ts';
import { DRAIN_SECONDS, envoyBinary, type Stack, startStack } from '../support/stack.ts';

describe('what stands beside or before the service is restarted, and no call fails', { timeout: 120_000 }, () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  let baseId: number;
  let second: Child | undefined;
  const url = () => `${stack.origin}/mcp`;

  before(async () => {
    // A port that is free now is a number that no other test uses.
    [issuer, [baseId]] = await Promise.all([startIssuer(), freePorts(1) as Promise<[number]>]);
    stack = await startStack({
      extProc: true,
      replicas: 2,
      baseId,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
        session: { keys: [{ id: 'k1', key: Buffer.alloc(32, 1).toString('base64') }] },
      },
      routes: (origin) => [
        {
          prefix: '/mcp',
          policy: {
            backend: 'b',
            resource: `${origin}/mcp`,
            incomingAuth: ['corp'],
            outgoingAuth: { type: 'claim_injection' },
            // Both filters take part in each call.
            identityPropagation: { mode: 'both' },
          },
        },
      ],
    });
  });
  after(async () => {
    await second?.stop('SIGTERM');
    await stack?.stop();
    await issuer?.stop();
  });

  const start = async (): Promise<Load> => {
    const headers = ['Authorization', `Bearer ${await issuer.token({ aud: url(), sub: 'alice' })}`];
    return new Load(4, async () => {
      const answer = await rpc(url(), toolCall('x'), headers);
      return answer.status === 200 ? undefined : `${answer.status} ${answer.body}`;
    });
  };
  /** A call that its backend answers when it is told to. */
  const slowCall = async () => {
    const { respond } = stack.backend;
    const arrived = new Promise<() => void>((resolve) => {
      stack.backend.respond = (seen, response, request) => {
        if (!seen.body.includes('"slow"')) return respond(seen, response, request);
        stack.backend.respond = respond;
        resolve(() => respond(seen, response, request));
      };
    });
    const headers = ['Authorization', `Bearer ${await issuer.token({ aud: url(), sub: 'alice' })}`];
    const answer = rpc(url(), toolCall('x', 'slow'), headers);
    return { finish: await arrived, answer };
  };

  it('one of two replicas, then the other', async () => {
    const load = await start();
    await load.more(50);
    for (const index of [1, 0]) {
      const slow = await slowCall();
      const service = stack.services[index]!;
      service.process.kill('SIGTERM');
      await service.until(() => service.stderr.includes('draining'));
      await load.more(50);
      slow.finish();
      const answer = await slow.answer;
      assert.equal(answer.status, 200, answer.body);
      assert.equal(await service.exited, 0);
      await stack.restartService(index);
      const started = stack.services[index]!;
      await started.until(() => started.stdout.split('\n').length > 20);
    }
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.ok(load.calls > 150, `${load.calls} calls`);
  });

  it('Envoy, by a hot restart: the new one takes over the sockets, the old one ends after its last call', async () => {
    const load = await start();
    await load.more(50);
    const slow = await slowCall();
    const options = {
      'base-id': baseId,
      'restart-epoch': 1,
      'drain-time-s': DRAIN_SECONDS,
      'parent-shutdown-time-s': 8,
      concurrency: 1,
      'log-level': 'warning',
    };
    second = new Child('second envoy', envoyBinary(), [
      '-c',
      join(stack.folder, 'envoy.json'),
      ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ]);
    const epoch = async () => (await send(`${stack.envoyAdmin}/server_info`)).json().command_line_options.restart_epoch;
    while ((await epoch().catch(() => 0)) !== 1) await new Promise((resolve) => setTimeout(resolve, 50));
    await load.more(50);
    slow.finish();
    const answer = await slow.answer;
    assert.equal(answer.status, 200, answer.body);
    assert.equal(await stack.envoy.exited, 0, 'the first one has ended by itself');
    await load.more(50);
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.ok(load.calls > 150, `${load.calls} calls`);
  });
});
