import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { createEgress, type EgressOptions, type EgressRequest } from '../../../src/net/egress.ts';
import { EgressError, type EgressFault } from '../../../src/net/egress-error.ts';
import { testTools } from '../authn/support.ts';

const stops: (() => Promise<void>)[] = [];
after(() => Promise.all(stops.map((stop) => stop())));

async function serve(listener: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<string> {
  const server = createServer((request, response) => void listener(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const GET: EgressRequest = { method: 'GET', headers: {} };
const make = (limits: Omit<EgressOptions, 'log' | 'metrics'> = {}) => {
  const tools = testTools();
  return { tools, egress: createEgress({ log: tools.log, metrics: tools.metrics, ...limits }) };
};

async function failsWith(call: Promise<unknown>, code: EgressFault): Promise<EgressError> {
  let caught: unknown;
  await assert.rejects(call, (error) => {
    caught = error;
    return true;
  });
  assert.ok(caught instanceof EgressError);
  assert.equal(caught.code, code);
  return caught;
}

/** Requests that wait for the test to answer them. */
function waitingRoom() {
  const inside: ServerResponse[] = [];
  let arrived: (() => void) | undefined;
  return {
    inside,
    listener: (_request: IncomingMessage, response: ServerResponse) => {
      inside.push(response);
      arrived?.();
    },
    async until(count: number): Promise<void> {
      while (inside.length < count) {
        await new Promise<void>((resolve) => {
          arrived = resolve;
        });
      }
    },
  };
}

describe('what it brings', { timeout: 20_000 }, () => {
  test('method, headers, body, status, headers and body of the answer', async () => {
    let seen: { method: string | undefined; type: string | undefined; body: string } | undefined;
    const origin = await serve(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      seen = { method: request.method, type: request.headers['content-type'], body };
      response.writeHead(400, { 'content-type': 'application/json', 'x-kind': 'a' }).end('{"error":"invalid_grant"}');
    });
    const { egress } = make();
    const headers = { accept: 'application/json' };
    const answer = await egress.fetch(`${origin}/token`, {
      method: 'POST',
      headers,
      body: new URLSearchParams({ a: 'b c' }),
    });
    assert.deepEqual(seen, { method: 'POST', type: 'application/x-www-form-urlencoded;charset=UTF-8', body: 'a=b+c' });
    assert.equal(answer.status, 400);
    assert.equal(answer.headers.get('x-kind'), 'a');
    assert.deepEqual(await answer.json(), { error: 'invalid_grant' });
  });

  test('a 204 has no body', async () => {
    const origin = await serve((_request, response) => void response.writeHead(204).end());
    assert.equal(await (await make().egress.fetch(origin, GET)).text(), '');
  });

  test('compressed answers arrive as text that says nothing of compression', async () => {
    const origin = await serve((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"a":1}'));
    });
    const answer = await make().egress.fetch(origin, GET);
    assert.equal(answer.headers.get('content-encoding'), null);
    assert.equal(await answer.text(), '{"a":1}');
  });

  test('counts by purpose and outcome, and measures', async () => {
    const origin = await serve((request, response) => void response.writeHead(Number(request.url?.slice(1))).end());
    const { tools, egress } = make();
    const jwks = egress.for('jwks');
    for (const status of [200, 200, 404, 500]) await jwks(`${origin}/${status}`, GET);
    await failsWith(jwks(`${origin}/302`, GET), 'redirect');
    const counts = ['ok', 'client_error', 'server_error', 'redirect'].map((outcome) =>
      tools.metric(`mcp_identity_egress_requests_total{purpose=jwks,outcome=${outcome}}`),
    );
    assert.deepEqual(counts, [2, 1, 1, 1]);
    assert.equal(tools.metric('mcp_identity_egress_seconds{purpose=jwks}'), 5);
    assert.equal(tools.metric('mcp_identity_egress_running'), 0);
  });
});

describe('where it goes', { timeout: 20_000 }, () => {
  const refused = [
    'http://idp.example.com/jwks?secret=1',
    'http://10.0.0.1/',
    'http://169.254.169.254/latest/meta-data',
    'http://127.0.0.1.example.com/',
    'https://user:hunter2@idp.example.com/',
    'https://idp.example.com/#fragment',
    'ftp://127.0.0.1/',
    'file:///etc/passwd',
    'data:text/plain,x',
    '/relative',
    '',
  ];
  for (const url of refused) {
    test(`refuses ${url || 'nothing'}`, async () => {
      const error = await failsWith(make().egress.fetch(url, GET), 'refused_url');
      assert.doesNotMatch(error.message, /secret|hunter2/);
    });
  }

  for (const status of [300, 301, 302, 303, 307, 308]) {
    test(`does not follow ${status}`, async () => {
      const paths: (string | undefined)[] = [];
      const origin = await serve((request, response) => {
        paths.push(request.url);
        response.writeHead(status, { location: '/elsewhere' }).end('moved');
      });
      await failsWith(make().egress.fetch(`${origin}/here`, { method: 'POST', headers: {}, body: 'x' }), 'redirect');
      assert.deepEqual(paths, ['/here']);
    });
  }
});

test('the connection of a redirect is closed, not kept waiting for a body that nobody reads', {
  timeout: 10_000,
}, async () => {
  let closed: Promise<unknown> | undefined;
  const origin = await serve((request, response) => {
    closed = once(request.socket, 'close');
    response.writeHead(302, { location: '/' }).write('and so on');
  });
  await failsWith(make().egress.fetch(origin, GET), 'redirect');
  await closed;
});

describe('limits', { timeout: 20_000 }, () => {
  test('time: no answer', async () => {
    const origin = await serve(() => {});
    const { tools, egress } = make({ timeoutMs: 60 });
    const error = await failsWith(egress.fetch(`${origin}/token?code=s3cret`, GET), 'timeout');
    assert.equal(error.message, `GET ${origin}/token took longer than 60 ms`);
    assert.equal(tools.metric('mcp_identity_egress_requests_total{purpose=other,outcome=timeout}'), 1);
  });

  test('time: an answer that never ends, and its connection is closed', async () => {
    const closed: Promise<unknown>[] = [];
    const origin = await serve((request, response) => {
      closed.push(once(request.socket, 'close'));
      response.writeHead(200).write('{');
    });
    await failsWith(make({ timeoutMs: 60 }).egress.fetch(origin, GET), 'timeout');
    await Promise.all(closed);
    assert.equal(closed.length, 1);
  });

  test("the caller's signal ends a call, before and while it runs", async () => {
    const room = waitingRoom();
    const origin = await serve(room.listener);
    const { egress } = make();
    const error = await failsWith(egress.fetch(origin, { ...GET, signal: AbortSignal.abort() }), 'timeout');
    assert.match(error.message, /given up by its caller/);
    assert.equal(room.inside.length, 0);

    const caller = new AbortController();
    const call = failsWith(egress.fetch(origin, { ...GET, signal: caller.signal }), 'timeout');
    await room.until(1);
    const closed = once((room.inside[0] as ServerResponse).req.socket, 'close');
    caller.abort(new Error('the reason is the caller’s own'));
    assert.match((await call).message, /given up by its caller/);
    await closed;
  });

  const sends = (write: (response: ServerResponse) => void) => serve((_request, response) => write(response));
  test('bytes: exactly as many as allowed pass', async () => {
    const origin = await sends((response) => response.end('x'.repeat(1_000)));
    const answer = await make({ maxResponseBytes: 1_000 }).egress.fetch(origin, GET);
    assert.equal((await answer.text()).length, 1_000);
  });

  const tooMuch: Record<string, (response: ServerResponse) => void> = {
    'with a length': (response) => response.end('x'.repeat(1_001)),
    'in chunks, without end': (response) => {
      const more = () => response.write('x'.repeat(500), (error) => error ?? more());
      more();
    },
    'after decompression': (response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(1_001))),
  };
  for (const [how, write] of Object.entries(tooMuch)) {
    test(`bytes: more are refused, ${how}`, async () => {
      const origin = await sends(write);
      const error = await failsWith(make({ maxResponseBytes: 1_000 }).egress.fetch(origin, GET), 'too_large');
      assert.match(error.message, /more than 1000 bytes/);
    });
  }

  test('calls to one origin: a few run, the rest wait their turn, other origins are not held up', async () => {
    const room = waitingRoom();
    const busy = await serve(room.listener);
    const idle = await serve((_request, response) => void response.end('idle'));
    const { tools, egress } = make({ maxConcurrent: 2 });
    const calls = [1, 2, 3, 4, 5].map((n) => egress.fetch(`${busy}/${n}`, GET).then((answer) => answer.text()));
    await room.until(2);
    assert.equal(await (await egress.fetch(idle, GET)).text(), 'idle');
    assert.equal(tools.metric('mcp_identity_egress_running'), 2);
    assert.equal(tools.metric('mcp_identity_egress_waiting'), 3);
    for (let n = 0; n < 5; n++) {
      await room.until(n + 1);
      assert.ok(room.inside.length <= n + 2);
      room.inside[n]?.end(String(n));
    }
    assert.deepEqual((await Promise.all(calls)).length, 5);
    assert.equal(tools.metric('mcp_identity_egress_running'), 0);
    assert.equal(tools.metric('mcp_identity_egress_waiting'), 0);
  });

  test('waiting calls: beyond the bound overloaded; one that is given up makes room', async () => {
    const room = waitingRoom();
    const origin = await serve(room.listener);
    const { tools, egress } = make({ maxConcurrent: 1, maxWaiting: 1 });
    const first = egress.fetch(`${origin}/1`, GET);
    await room.until(1);
    const caller = new AbortController();
    const second = failsWith(egress.fetch(`${origin}/2`, { ...GET, signal: caller.signal }), 'timeout');
    const error = await failsWith(egress.fetch(`${origin}/3?secret`, GET), 'overloaded');
    assert.equal(error.message, `too many calls to ${origin} (other) are waiting`);
    caller.abort();
    await second;
    assert.equal(tools.metric('mcp_identity_egress_waiting'), 0);
    const fourth = egress.fetch(`${origin}/4`, GET);
    room.inside[0]?.end('one');
    await first;
    await room.until(2);
    assert.equal((room.inside[1] as ServerResponse).req.url, '/4');
    room.inside[1]?.end('four');
    assert.equal(await (await fourth).text(), 'four');
  });

  test('the time limit counts while waiting, and every end frees its place', async () => {
    let answers = false;
    const origin = await serve((_request: IncomingMessage, response) => {
      if (answers) response.end('ok');
    });
    const { egress } = make({ maxConcurrent: 1, timeoutMs: 80 });
    await Promise.all([1, 2, 3].map(() => failsWith(egress.fetch(origin, GET), 'timeout')));
    answers = true;
    assert.equal(await (await egress.fetch(origin, GET)).text(), 'ok');
  });
});

describe('failures', { timeout: 20_000 }, () => {
  test('nobody listens', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const error = await failsWith(make().egress.fetch(`http://127.0.0.1:${port}/a?b=c`, GET), 'network');
    assert.equal(error.message, `GET http://127.0.0.1:${port}/a failed (ECONNREFUSED)`);
    assert.equal(error.cause, undefined);
  });

  test('a hang-up', async () => {
    const origin = await serve((request) => void request.socket.destroy());
    await failsWith(make().egress.fetch(origin, GET), 'network');
  });

  test('a header that cannot be sent is not quoted', async () => {
    const origin = await serve((_request, response) => void response.end());
    const { tools, egress } = make();
    const error = await failsWith(
      egress.fetch(origin, { method: 'GET', headers: { authorization: 'Bearer s3cret\nx' } }),
      'network',
    );
    assert.doesNotMatch(`${error.message}${error.stack}${JSON.stringify(tools.lines)}`, /s3cret/);
  });
});
