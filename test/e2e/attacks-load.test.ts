import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** Far more than any call takes, far less than what these attacks would cost. */
const SOON_MS = 250;

describe('attacks on the service itself: time, memory, logs', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const url = (name: string) => `${stack.origin}/${name}/mcp`;

  before(async () => {
    issuer = await startIssuer();
    const route = (origin: string, name: string, incomingAuth: string[], more: object = {}) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth,
        outgoingAuth: { type: 'unauthenticated' },
        tools: { delete_repo: { deny: true } },
        ...more,
      },
    });
    stack = await startStack({
      config: {
        incomingAuth: {
          corp: { type: 'jwt', issuer: issuer.issuer },
          ci: { type: 'api_key', keys: [{ id: 'k', sha256: '0'.repeat(64), subject: 'bot' }] },
          guest: { type: 'anonymous' },
        },
      },
      routes: (origin) => [route(origin, 'closed', ['corp', 'ci']), route(origin, 'open', ['corp', 'guest'])],
    });
    await rpc(url('open'), toolCall('warm'));
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });

  /** The longest that a harmless call of somebody else takes while `attack` is under way, in milliseconds. */
  const delayDuring = async (attack: () => Promise<unknown>): Promise<number> => {
    const state = { over: false };
    const done = attack().finally(() => (state.over = true));
    let longestMs = 0;
    do {
      const startMs = performance.now();
      await rpc(url('open'), toolCall('x'));
      longestMs = Math.max(longestMs, performance.now() - startMs);
    } while (!state.over);
    await done;
    return longestMs;
  };
  // Putting combining marks of descending class into order takes quadratic time (ICU): seconds for 64 KiB, hours for 4 MiB.
  const marks = (count: number) => `a${'\u0301'.repeat(count)}${'\u0316'.repeat(count)}`;

  it('names made of combining marks, from a stranger', async () => {
    const delayMs = await delayDuring(() => rpc(url('closed'), toolCall(marks(15_500)), ['Authorization', 'Bearer x']));
    assert.ok(delayMs < SOON_MS, `others waited ${delayMs} ms`);
  });

  it('the same as a method, and in a body that is decided on', async () => {
    const message = { jsonrpc: '2.0', id: 1, method: marks(15_500), params: {} };
    assert.ok((await delayDuring(() => rpc(url('open'), message))) < SOON_MS);
    assert.ok((await delayDuring(() => rpc(url('open'), toolCall(marks(30_000))))) < SOON_MS);
  });

  it('nesting, many keys, long strings and numbers cost no more than their bytes', async () => {
    const call = (args: string) =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":${args}}}`;
    const keys = JSON.stringify(Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`key-${i}`, i])));
    const bodies: [number, string][] = [
      [400, call(`${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`)],
      [400, '{"jsonrpc":"2.0","id":1,"method":"x","params":'.padEnd(1_000_000, '{"a":')],
      [400, `{"jsonrpc":"2.0","id":1,"method":"ping","params":${keys}}`],
      [400, `{"jsonrpc":"2.0","id":"${'1'.repeat(1_000_000)}","method":"ping"}`],
      [200, call(keys)],
      [200, call(`"${'\\u0041'.repeat(300_000)}"`)],
      [200, call('1'.repeat(1_000_000))],
    ];
    for (const [status, body] of bodies) {
      let answered = 0;
      const delayMs = await delayDuring(async () => (answered = (await rpc(url('open'), body)).status));
      assert.equal(answered, status, body.slice(0, 80));
      assert.ok(delayMs < SOON_MS, `${delayMs} ms for ${body.slice(0, 80)}`);
    }
  });

  it('what strangers send becomes no label, no log line and no answer', async () => {
    const marker = 'sEcReT-0x5f';
    const token = `${Buffer.from(`{"alg":"${marker}"}`).toString('base64url')}.${Buffer.from(`{"iss":"${marker}"}`).toString('base64url')}.AAAA`;
    const attempts: [string, string[]][] = [
      ['closed', ['Authorization', `Bearer ${marker}`]],
      ['closed', ['Authorization', `Bearer ${token}`]],
      ['closed', ['Authorization', `${marker} ${marker}`]],
      ['closed', ['Authorization', `Bearer ${marker} "`]],
      ['closed', ['X-Api-Key', marker]],
      ['closed', ['Cookie', marker, marker, marker, 'DPoP', marker]],
      ['open', ['Origin', `https://${marker}.example.com`]],
      ['open', ['Content-Encoding', marker]],
      ['open', ['Mcp-Method', marker]],
      ['open', ['Mcp-Session-Id', marker, 'traceparent', marker, 'baggage', marker]],
      [marker, []],
    ];
    for (const [name, headers] of attempts) {
      const { body, rawHeaders } = await rpc(
        url(name),
        { ...toolCall('x'), params: { name: 'x', arguments: { marker } } },
        headers,
      );
      assert.ok(!(body + rawHeaders.join()).includes(marker), `${name} ${headers.join(' ')}: ${body}`);
    }
    await send(url('open'), { method: marker.toUpperCase() });
    const { stdout, stderr } = stack.services[0]!;
    assert.ok(!(stdout + stderr).includes(marker));
    assert.ok(!(await stack.metrics()).toLowerCase().includes(marker.toLowerCase()));
  });

  it('without its audit the service lets nobody pass', async () => {
    const service = stack.services[0]!;
    service.process.stdout!.destroy();
    const deadline = Date.now() + 5_000;
    let { status } = await rpc(url('open'), toolCall('x'));
    while (status === 200 && Date.now() < deadline) status = (await rpc(url('open'), toolCall('x'))).status;
    assert.notEqual(status, 200, 'decisions go on, and nobody can tell later what they were');
  });
});
