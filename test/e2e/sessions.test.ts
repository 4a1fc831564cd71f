import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Answer, rpc, send } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

const key = (byte: number) => Buffer.alloc(32, byte).toString('base64');
const initialize = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: { elicitation: { url: {} } },
    clientInfo: { name: 't', version: '1' },
  },
};
const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x' } };

describe('sessions belong to their user', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const auth = async (sub: string, path = '/bound/mcp', claims = {}) => [
    'Authorization',
    `Bearer ${await issuer.token({ aud: stack.origin + path, sub, ...claims })}`,
  ];
  const open = async (sub: string | undefined, path = '/bound/mcp', extra: readonly string[] = []): Promise<string> => {
    const answer = await rpc(stack.origin + path, initialize, [...(sub ? await auth(sub, path) : []), ...extra]);
    assert.equal(answer.status, 200, answer.body);
    return answer.headers['mcp-session-id'] as string;
  };
  const use = async (
    id: string,
    sub: string | undefined,
    extra: readonly string[] = [],
    path = '/bound/mcp',
  ): Promise<Answer> =>
    rpc(stack.origin + path, call, [...(sub ? await auth(sub, path) : []), 'Mcp-Session-Id', id, ...extra]);

  before(async () => {
    issuer = await startIssuer();
    const policy = (origin: string, name: string, session: object) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp', 'guest'],
        outgoingAuth: { type: 'claim_injection' },
        passthroughHeaders: ['X-Tenant-Id', 'X-Region'],
        session: { bind: true, ...session },
      },
    });
    stack = await startStack({
      extProc: true,
      replicas: 2,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer }, guest: { type: 'anonymous' } },
        session: { keys: [{ id: 'k1', key: key(1) }] },
      },
      routes: (origin) => [
        policy(origin, 'bound', {}),
        policy(origin, 'other', {}),
        policy(origin, 'captured', { passthroughCapture: 'session' }),
        policy(origin, 'teardown', { identityFallback: 'delete' }),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
    stack.backend.respond = (seen, response) => {
      const message =
        seen.body.length > 0 ? (JSON.parse(seen.body.toString()) as { id: unknown; method: string }) : undefined;
      if (message?.method === 'initialize')
        response.setHeader('mcp-session-id', `backend-${stack.backend.seen.length}`);
      else if (seen.headers['mcp-session-id']) response.setHeader('mcp-session-id', seen.headers['mcp-session-id']);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id: message?.id ?? null, result: {} }));
    };
  });

  it('the client gets a sealed id, the backend its own, and both stay the same', async () => {
    const id = await open('alice');
    assert.ok(id.length > 100 && !id.includes('backend'));
    for (let i = 0; i < 4; i++) {
      const answer = await use(id, 'alice');
      assert.equal(answer.status, 200, answer.body);
      assert.equal(stack.backend.last().headers['mcp-session-id'], 'backend-1');
      assert.equal(answer.headers['mcp-session-id'], id);
    }
  });

  it('another user, another backend, anonymous, a raw or changed id: 404, and nothing reaches the backend (R8)', async () => {
    const id = await open('alice');
    const before = stack.backend.seen.length;
    const changed = id.slice(0, -2) + (id.endsWith('AA') ? 'BB' : 'AA');
    const attempts: [string, Promise<Answer>][] = [
      ['another user', use(id, 'bob')],
      [
        'another user under 2026-07-28',
        use(id, 'bob', ['Mcp-Protocol-Version', '2026-07-28', 'Mcp-Method', 'tools/call', 'Mcp-Name', 'x']),
      ],
      ['anonymous', use(id, undefined)],
      ['another backend', use(id, 'alice', [], '/other/mcp')],
      ['the backend’s raw id', use('backend-1', 'alice')],
      [
        'the raw id under 2026-07-28',
        use('backend-1', 'alice', ['Mcp-Protocol-Version', '2026-07-28', 'Mcp-Method', 'tools/call', 'Mcp-Name', 'x']),
      ],
      ['a changed id', use(changed, 'alice')],
      ['two ids', use(id, 'alice', ['Mcp-Session-Id', id])],
      ['an empty id', use('', 'alice')],
    ];
    for (const [what, attempt] of attempts) {
      const answer = await attempt;
      assert.equal(answer.status, 404, what);
      assert.equal(answer.json().id, 1);
    }
    assert.equal(
      (
        await send(`${stack.origin}/bound/mcp`, {
          method: 'DELETE',
          headers: [...(await auth('bob')), 'Mcp-Session-Id', id],
        })
      ).status,
      404,
    );
    assert.equal(
      (
        await send(`${stack.origin}/bound/mcp`, {
          method: 'GET',
          headers: [...(await auth('bob')), 'Mcp-Session-Id', id],
        })
      ).status,
      404,
    );
    assert.equal(stack.backend.seen.length, before);
  });

  it('a raw id in a header spelled with _ never arrives', async () => {
    await rpc(`${stack.origin}/bound/mcp`, call, [...(await auth('alice')), 'Mcp_Session_Id', 'backend-1']);
    assert.deepEqual(
      Object.keys(stack.backend.last().headers).filter((name) => name.includes('session')),
      [],
    );
  });

  it('the same user goes on with a renewed token, and fresh claims arrive (R8, R14)', async () => {
    const id = await open('alice');
    const answer = await use(id, 'alice', []);
    assert.equal(answer.status, 200);
    assert.equal(stack.backend.last().headers['x-user-sub'], 'alice');
  });

  it('anonymous sessions work for anonymous callers', async () => {
    const id = await open(undefined);
    assert.equal((await use(id, undefined)).status, 200);
    assert.equal((await use(id, 'alice')).status, 404);
  });

  it('passthroughCapture: session delivers the values of the first request (R10)', async () => {
    const id = await open('alice', '/captured/mcp', ['X-Tenant-Id', 'first']);
    await use(id, 'alice', ['X-Tenant-Id', 'second', 'X-Region', 'late'], '/captured/mcp');
    assert.equal(stack.backend.last().headers['x-tenant-id'], 'first');
    assert.equal(stack.backend.last().headers['x-region'], undefined);
    await rpc(`${stack.origin}/captured/mcp`, call, [...(await auth('alice', '/captured/mcp')), 'X-Tenant-Id', 'own']);
    assert.equal(stack.backend.last().headers['x-tenant-id'], 'own', 'a request without a session uses its own');
    const everything = stack.services.map((service) => service.stdout + service.stderr).join('');
    assert.equal(everything.includes('first'), false, 'captured values are in no log');
  });

  it('by default every request delivers its own values', async () => {
    const id = await open('alice', '/bound/mcp', ['X-Tenant-Id', 'first']);
    await use(id, 'alice', ['X-Tenant-Id', 'second']);
    assert.equal(stack.backend.last().headers['x-tenant-id'], 'second');
  });

  it('values that would not fit into a header are a clear error', async () => {
    const answer = await rpc(`${stack.origin}/captured/mcp`, initialize, [
      ...(await auth('alice', '/captured/mcp')),
      'X-Tenant-Id',
      'x'.repeat(10_000),
    ]);
    assert.equal(answer.status, 431);
    assert.match(answer.body, /would not fit/);
  });

  it('a DELETE without credential acts for the session’s user only where the route says so (R14)', async () => {
    const id = await open('alice', '/teardown/mcp');
    const refused = await open('alice', '/bound/mcp');
    const gone = await send(`${stack.origin}/teardown/mcp`, { method: 'DELETE', headers: ['Mcp-Session-Id', id] });
    assert.equal(gone.status, 200, gone.body);
    assert.equal(stack.backend.last().headers['x-user-sub'], 'alice');
    assert.equal(
      (await send(`${stack.origin}/bound/mcp`, { method: 'DELETE', headers: ['Mcp-Session-Id', refused] })).status,
      404,
    );
    assert.equal((await rpc(`${stack.origin}/teardown/mcp`, call, ['Mcp-Session-Id', id])).status, 404, 'only DELETE');
    assert.equal(
      (
        await send(`${stack.origin}/teardown/mcp`, {
          method: 'DELETE',
          headers: [...(await auth('bob', '/teardown/mcp')), 'Mcp-Session-Id', id],
        })
      ).status,
      404,
      'what the request carries wins',
    );
    assert.equal(
      (
        await send(`${stack.origin}/teardown/mcp`, {
          method: 'DELETE',
          headers: ['Authorization', 'Bearer nonsense', 'Mcp-Session-Id', id],
        })
      ).status,
      401,
    );
  });

  it('sessions outlive a restart of every replica', async () => {
    const id = await open('alice');
    for (const index of [0, 1]) {
      await stack.services[index]!.stop('SIGTERM');
      await stack.restartService(index);
    }
    const deadline = Date.now() + 10_000;
    let answer = await use(id, 'alice');
    while (answer.status === 503 && Date.now() < deadline) answer = await use(id, 'alice'); // Envoy’s health check finds them again
    assert.equal(answer.status, 200);
    assert.equal(stack.backend.last().headers['mcp-session-id'], 'backend-1');
  });
});
