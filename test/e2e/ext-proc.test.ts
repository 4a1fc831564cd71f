import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { rpc, send } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');

describe('ext_proc: identity in _meta', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const bearer = async (path: string, claims: Record<string, unknown> = {}) => [
    'Authorization',
    `Bearer ${await issuer.token({ aud: stack.origin + path, sub: 'alice', email: 'alice@example.com', groups: ['g1', 'g2'], ...claims })}`,
  ];
  const body = () => stack.backend.last().body.toString('utf8');

  before(async () => {
    issuer = await startIssuer();
    const propagation = (mode: string) => ({
      mode,
      attributes: ['id', 'issuer', 'email', 'groups', 'auth_method'],
      claims: { department: 'Department' },
    });
    const route = (origin: string, name: string, more: object) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp', 'guest'],
        outgoingAuth: { type: 'unauthenticated' },
        ...more,
      },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer }, guest: { type: 'anonymous' } },
        session: { keys: [{ id: 'k1', key: KEY }] },
        secrets: { s: 'abc' },
      },
      routes: (origin) => [
        route(origin, 'meta', { identityPropagation: propagation('meta') }),
        route(origin, 'both', { identityPropagation: propagation('both') }),
        route(origin, 'headers', { identityPropagation: propagation('headers') }),
        route(origin, 'plain', {}),
        route(origin, 'secret', {
          outgoingAuth: { type: 'header_injection', headerInjection: { headerName: 'X-Token', secret: 's' } },
        }),
        route(origin, 'strict', { validateMcpHeaders: true }),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
  });

  const user = (department?: string) => ({
    id: 'alice',
    issuer: issuer.issuer,
    email: 'alice@example.com',
    groups: ['g1', 'g2'],
    auth_method: 'jwt',
    ...(department ? { department } : {}),
  });

  for (const method of [
    'initialize',
    'ping',
    'tools/list',
    'tools/call',
    'resources/list',
    'resources/read',
    'resources/subscribe',
    'prompts/get',
    'completion/complete',
    'logging/setLevel',
    'server/discover',
  ]) {
    for (const version of ['2025-11-25', '2026-07-28']) {
      it(`${method} of ${version} carries the user in _meta`, async () => {
        const params: Record<string, unknown> = {
          name: 'x',
          uri: 'file:///x',
          _meta: { progressToken: 1, user: { id: 'root' } },
        };
        const headers =
          version === '2026-07-28'
            ? [
                'Mcp-Protocol-Version',
                version,
                'Mcp-Method',
                method,
                ...(method === 'resources/read'
                  ? ['Mcp-Name', 'file:///x']
                  : ['tools/call', 'prompts/get'].includes(method)
                    ? ['Mcp-Name', 'x']
                    : []),
              ]
            : [];
        const answer = await rpc(`${stack.origin}/both/mcp`, { jsonrpc: '2.0', id: 1, method, params }, [
          ...headers,
          ...(await bearer('/both/mcp', { department: 'R&D' })),
        ]);
        assert.equal(answer.status, 200, answer.body);
        assert.deepEqual(JSON.parse(body()), {
          jsonrpc: '2.0',
          id: 1,
          method,
          params: { ...params, _meta: { progressToken: 1, user: user('R&D') } },
        });
        assert.equal(stack.backend.last().headers['x-forwarded-user-id'], 'alice');
        assert.equal(stack.backend.last().headers['content-length'], String(stack.backend.last().body.length));
      });
    }
  }

  it('mode meta writes no headers and takes the client’s away', async () => {
    await rpc(`${stack.origin}/meta/mcp`, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, [
      ...(await bearer('/meta/mcp')),
      'X-Forwarded-User-Id',
      'root',
    ]);
    assert.deepEqual(JSON.parse(body()).params._meta.user, user());
    assert.deepEqual(
      Object.keys(stack.backend.last().headers).filter((name) => name.startsWith('x-forwarded-user')),
      [],
    );
  });

  it('mode headers leaves the body as it is', async () => {
    const text =
      '{ "jsonrpc":"2.0","id":12345678901234567890, "method":"tools/list","params":{"_meta":{"user":{"id":"root"}}} }';
    await rpc(`${stack.origin}/headers/mcp`, text, await bearer('/headers/mcp'));
    assert.equal(body(), text);
  });

  it('everything outside the edit stays as it is, to the byte', async () => {
    const text =
      '{ "z":1e400,"jsonrpc":"2.0",\n"id":12345678901234567890, "method":"tools/call","params":{"name":"x","b":1,"a":"\\u00e9\\/","_meta":{ "k":0.10 }} }';
    await rpc(`${stack.origin}/meta/mcp`, text, await bearer('/meta/mcp'));
    const at = text.indexOf('"_meta":') + '"_meta":'.length;
    assert.ok(body().startsWith(text.slice(0, at)), body());
    assert.ok(body().endsWith('} }'), body());
    assert.ok(body().includes('"k":0.10'));
  });

  it('anonymous: no _meta of ours, the client’s copy still goes', async () => {
    await rpc(`${stack.origin}/both/mcp`, {
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/list',
      params: { _meta: { user: { id: 'root' }, keep: 1 } },
    });
    assert.deepEqual(JSON.parse(body()).params._meta, { keep: 1 });
  });

  it('notifications and responses get no identity', async () => {
    await rpc(
      `${stack.origin}/both/mcp`,
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } },
      await bearer('/both/mcp'),
    );
    assert.deepEqual(JSON.parse(body()), {
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 1 },
    });
    await rpc(`${stack.origin}/both/mcp`, { jsonrpc: '2.0', id: 1, result: { a: 1 } }, await bearer('/both/mcp'));
    assert.deepEqual(JSON.parse(body()), { jsonrpc: '2.0', id: 1, result: { a: 1 } });
  });

  for (const [what, text, status] of [
    ['a batch', '[]', 400],
    ['no JSON', '{', 400],
    ['two _meta', '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{},"_meta":{"user":{"id":"root"}}}}', 400],
    ['_Meta', '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_Meta":{"user":{"id":"root"}}}}', 400],
    [
      'a key that folds to ours',
      '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"User":{"id":"root"}}}}',
      400,
    ],
  ] as const) {
    it(`spoofing by ${what} is refused`, async () => {
      const answer = await rpc(`${stack.origin}/meta/mcp`, text, await bearer('/meta/mcp'));
      assert.equal(answer.status, status, answer.body);
      assert.equal(stack.backend.seen.length, 0);
    });
  }

  it('a content-encoding is refused where bodies are edited', async () => {
    assert.equal(
      (await rpc(`${stack.origin}/meta/mcp`, '{}', [...(await bearer('/meta/mcp')), 'Content-Encoding', 'gzip']))
        .status,
      415,
    );
  });

  it('GET streams and SSE answers pass untouched', async () => {
    stack.backend.respond = (_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
      response.end('data: 2\n\n');
    };
    const answer = await send(`${stack.origin}/both/mcp`, { headers: await bearer('/both/mcp') });
    stack.backend.respond = (_seen, response) => void response.end('{}');
    assert.equal(answer.status, 200);
    assert.equal(answer.body, 'data: 1\n\ndata: 2\n\n');
  });

  it('denials of Check pass ext_proc’s response phase unchanged', async () => {
    const answer = await rpc(`${stack.origin}/both/mcp`, { jsonrpc: '2.0', id: 1, method: 'ping' }, [
      'Authorization',
      'Bearer nonsense',
    ]);
    assert.equal(answer.status, 401);
    assert.match(answer.headers['www-authenticate'] as string, /error="invalid_token"/);
  });

  it('a backend’s 401 to our credential is a 502 without challenge; elsewhere it stays the backend’s', async () => {
    stack.backend.respond = (_seen, response) =>
      void response.writeHead(401, { 'www-authenticate': 'Bearer realm="upstream"' }).end('{}');
    const ours = await rpc(
      `${stack.origin}/secret/mcp`,
      { jsonrpc: '2.0', id: 'a', method: 'ping' },
      await bearer('/secret/mcp'),
    );
    const theirs = await rpc(
      `${stack.origin}/plain/mcp`,
      { jsonrpc: '2.0', id: 'a', method: 'ping' },
      await bearer('/plain/mcp'),
    );
    stack.backend.respond = (_seen, response) => void response.end('{}');
    assert.equal(ours.status, 502);
    assert.equal(ours.headers['www-authenticate'], undefined);
    assert.equal(ours.json().id, 'a');
    assert.equal(ours.json().error.code, -32005);
    assert.equal(theirs.status, 401);
    assert.equal(
      theirs.headers['www-authenticate'],
      undefined,
      'a challenge of another service is not for our clients',
    );
    const line = await stack.services[0]!.until(() =>
      stack.audit().find((entry) => entry.event === 'response' && entry.reason === 'backend_unauthorized'),
    );
    assert.equal(line['backend_status'], 401);
    assert.equal(line['subject'], 'alice');
  });

  it('validateMcpHeaders refuses what a backend may not look at', async () => {
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'a' } };
    const wrong = await rpc(`${stack.origin}/strict/mcp`, call, [
      ...(await bearer('/strict/mcp')),
      'Mcp-Protocol-Version',
      '2026-07-28',
      'Mcp-Method',
      'tools/call',
      'Mcp-Name',
      'b',
    ]);
    assert.equal(wrong.status, 400);
    assert.equal(wrong.json().error.code, -32020);
  });

  it('bodies: 3 MiB is edited, more than maxBody is 413, with and without content-length', async () => {
    const big = (size: number) =>
      JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'x', arguments: { filler: 'x'.repeat(size) } },
      });
    assert.equal((await rpc(`${stack.origin}/meta/mcp`, big(3 * 1024 * 1024), await bearer('/meta/mcp'))).status, 200);
    assert.equal(JSON.parse(body()).params._meta.user.id, 'alice');
    assert.equal((await rpc(`${stack.origin}/meta/mcp`, big(5 * 1024 * 1024), await bearer('/meta/mcp'))).status, 413);
    const chunked = await rpc(`${stack.origin}/meta/mcp`, big(5 * 1024 * 1024), [
      ...(await bearer('/meta/mcp')),
      'Transfer-Encoding',
      'chunked',
    ]);
    assert.equal(chunked.status, 413);
  });

  it('no stream is left open', async () => {
    const text = await stack.metrics();
    assert.match(text, /mcp_identity_ext_proc_streams 0/);
  });
});
