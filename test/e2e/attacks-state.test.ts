import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:http2';
import { after, before, beforeEach, describe, it } from 'node:test';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

const initialize = { jsonrpc: '2.0', id: 0, method: 'initialize', params: {} };

describe('attacks on what is remembered: tokens, policies, sessions', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const auth = async (path: string, claims: Record<string, unknown> = {}) => [
    'Authorization',
    `Bearer ${await issuer.token({ aud: stack.origin + path, sub: 'alice', ...claims })}`,
  ];
  const open = async (path: string, headers: readonly string[]): Promise<string> => {
    const answer = await rpc(stack.origin + path, initialize, headers);
    assert.equal(answer.status, 200, answer.body);
    return answer.headers['mcp-session-id'] as string;
  };

  before(async () => {
    issuer = await startIssuer();
    const route = (origin: string, name: string, incomingAuth: string[], more: object = {}) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth,
        outgoingAuth: { type: 'claim_injection' },
        ...more,
      },
    });
    const noBodyInCheck = {
      'envoy.filters.http.ext_authz': {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
        check_settings: { disable_request_body_buffering: true },
      },
    };
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: {
          lax: { type: 'jwt', issuer: issuer.issuer },
          strict: { type: 'jwt', issuer: issuer.issuer, requiredClaims: { level: 'high' } },
          shared: { type: 'jwt', issuer: issuer.issuer, audience: 'everything' },
          ci: {
            type: 'api_key',
            keys: [{ id: 'k', sha256: createHash('sha256').update('key-1').digest('hex'), subject: 'alice' }],
          },
          guest: { type: 'anonymous' },
        },
        session: { keys: [{ id: 'k1', key: Buffer.alloc(32, 1).toString('base64') }] },
      },
      routes: (origin) => [
        route(origin, 'lax', ['lax', 'guest']),
        route(origin, 'strict', ['strict']),
        route(origin, 'shared', ['shared']),
        route(origin, 'meta', ['lax'], { identityPropagation: { mode: 'both' } }),
        route(origin, 'bound', ['lax', 'ci', 'guest'], { session: { bind: true } }),
        route(origin, 'teardown', ['lax'], {
          tools: { delete_repo: { deny: true } },
          session: { bind: true, identityFallback: 'delete' },
        }),
        route(origin, 'captured', ['lax'], {
          passthroughHeaders: ['X-Tenant-Id'],
          session: { bind: true, passthroughCapture: 'session' },
        }),
        {
          ...route(origin, 'unread', ['lax'], { session: { bind: true, identityFallback: 'delete' } }),
          perFilter: noBodyInCheck,
        },
        { ...route(origin, 'large', ['guest'], { session: { bind: true } }), perFilter: noBodyInCheck },
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
      response.setHeader('mcp-session-id', seen.headers['mcp-session-id'] ?? `backend-${stack.backend.seen.length}`);
      response.end('{}');
    };
  });

  it('a token that one method has verified is judged anew by another of the same issuer', async () => {
    const aud = ['lax', 'strict', 'shared'].map((name) => `${stack.origin}/${name}/mcp`);
    const headers = await auth('', { aud });
    for (let round = 0; round < 2; round++) {
      assert.equal((await rpc(`${stack.origin}/lax/mcp`, toolCall('x'), headers)).status, 200);
      assert.equal((await rpc(`${stack.origin}/strict/mcp`, toolCall('x'), headers)).status, 401);
      assert.equal((await rpc(`${stack.origin}/shared/mcp`, toolCall('x'), headers)).status, 401);
    }
  });

  it('a token of one route is nothing on another, before and after it was remembered', async () => {
    const headers = await auth('/lax/mcp');
    for (const [path, status] of [
      ['meta', 401],
      ['lax', 200],
      ['meta', 401],
      ['bound', 401],
    ] as const)
      assert.equal((await rpc(`${stack.origin}/${path}/mcp`, toolCall('x'), headers)).status, status, path);
  });

  it('the unsigned, resigned and respelled twins of a remembered token are not remembered', async () => {
    const headers = await auth('/lax/mcp');
    const token = (headers[1] as string).slice('Bearer '.length);
    assert.equal((await rpc(`${stack.origin}/lax/mcp`, toolCall('x'), headers)).status, 200);
    const [head, payload, signature] = token.split('.') as [string, string, string];
    const other = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sub: 'root' }),
    );
    for (const twin of [
      `${head}.${payload}.`,
      `${head}.${payload}.${signature.slice(0, -4)}AAAA`,
      `${head}.${other.toString('base64url')}.${signature}`,
      `${token}=`,
      `${token}.`,
    ])
      assert.equal(
        (await rpc(`${stack.origin}/lax/mcp`, toolCall('x'), ['Authorization', `Bearer ${twin}`])).status,
        401,
        twin,
      );
  });

  it('users, bodies and plans of a hundred calls at once stay together', async () => {
    const users = await Promise.all(Array.from({ length: 10 }, (_, i) => auth('/meta/mcp', { sub: `user-${i}` })));
    await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        rpc(
          `${stack.origin}/meta/mcp`,
          {
            jsonrpc: '2.0',
            id: i,
            method: 'tools/call',
            params: { name: `user-${i % 10}`, _meta: { user: { id: 'root' } } },
          },
          [...(users[i % 10] as string[]), 'X-Request-Id', 'the-same'],
        ),
      ),
    );
    assert.equal(stack.backend.seen.length, 100);
    for (const { body, headers } of stack.backend.seen) {
      const { params } = JSON.parse(body.toString());
      assert.equal(params._meta.user.id, params.name);
      assert.equal(headers['x-forwarded-user-id'], params.name);
      assert.equal(headers['x-user-sub'], params.name);
    }
  });

  it('the same subject of another method is another user to a session', async () => {
    const id = await open('/bound/mcp', await auth('/bound/mcp'));
    const use = (headers: readonly string[]) =>
      rpc(`${stack.origin}/bound/mcp`, toolCall('x'), [...headers, 'Mcp-Session-Id', id]);
    assert.equal((await use(['X-Api-Key', 'key-1'])).status, 404);
    assert.equal((await use([])).status, 404);
    assert.equal((await use(await auth('/bound/mcp'))).status, 200);
  });

  it('a session is looked at only after its bearer is known: 401 before 404', async () => {
    const id = await open('/bound/mcp', await auth('/bound/mcp'));
    for (const session of [id, 'nonsense'])
      assert.equal(
        (
          await rpc(`${stack.origin}/bound/mcp`, toolCall('x'), [
            'Authorization',
            'Bearer x',
            'Mcp-Session-Id',
            session,
          ])
        ).status,
        401,
      );
  });

  it('a teardown without credential ends a session and does nothing else', async () => {
    const id = await open('/teardown/mcp', await auth('/teardown/mcp'));
    const headers = ['Mcp-Session-Id', id, 'Content-Type', 'application/json'];
    const before = stack.backend.seen.length;
    const call = JSON.stringify(toolCall('delete_repo'));
    const smuggled = await send(`${stack.origin}/teardown/mcp`, { method: 'DELETE', headers, body: call });
    assert.ok(smuggled.status >= 400, `a denied tool in the body: ${smuggled.status}`);
    assert.equal(stack.backend.seen.length, before);
  });

  it('nor does one over HTTP/2 whose body announces no length, where Check sees no bodies', async () => {
    const id = await open('/unread/mcp', await auth('/unread/mcp'));
    const teardown = (body?: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const session = connect(stack.origin).on('error', reject);
        const headers = { ':method': 'DELETE', ':path': '/unread/mcp', 'mcp-session-id': id };
        const stream = session.request(
          { ...headers, 'content-type': 'application/json' },
          { endStream: body === undefined },
        );
        stream.on('error', reject);
        stream.on('response', (answer) => {
          stream.resume();
          session.close();
          resolve(Number(answer[':status']));
        });
        if (body !== undefined) stream.end(body);
      });
    const before = stack.backend.seen.length;
    assert.equal(await teardown(JSON.stringify(toolCall('delete_repo'))), 400);
    assert.equal(stack.backend.seen.length, before);
    assert.equal(await teardown(), 200);
    assert.equal(stack.backend.last().headers['x-user-sub'], 'alice');
  });

  it('a teardown without credential gives no new session', async () => {
    const id = await open('/teardown/mcp', await auth('/teardown/mcp'));
    stack.backend.respond = (_seen, response) => void response.setHeader('mcp-session-id', 'fresh').end('{}');
    const answer = await send(`${stack.origin}/teardown/mcp`, { method: 'DELETE', headers: ['Mcp-Session-Id', id] });
    assert.equal(answer.status, 200);
    const given = answer.headers['mcp-session-id'];
    assert.ok(given === undefined || given === id, 'its age would begin anew');
  });

  it('captured bytes that are no UTF-8: refused when the session opens, and no audit line says what did not happen', async () => {
    const headers = [...(await auth('/captured/mcp')), 'X-Tenant-Id', 'caf\u00e9'];
    const opened = await rpc(`${stack.origin}/captured/mcp`, initialize, headers);
    if (opened.status >= 400) return assert.ok(opened.status < 500, opened.body);
    const lines = stack.audit().length;
    const id = opened.headers['mcp-session-id'] as string;
    const used = await rpc(`${stack.origin}/captured/mcp`, toolCall('x'), [
      ...(await auth('/captured/mcp')),
      'Mcp-Session-Id',
      id,
    ]);
    const line = await stack.services[0]!.until(() =>
      stack
        .audit()
        .slice(lines)
        .find(({ event }) => event === 'decision'),
    );
    assert.equal(line.outcome === 'allow', used.status === 200, `audit: ${line.outcome}, client: ${used.status}`);
    assert.equal(used.status, 200, used.body);
  });

  it('a large first request on a route with sessions is no failure of ours', async () => {
    const body = JSON.stringify({
      ...toolCall('x'),
      params: { name: 'x', arguments: { filler: 'x'.repeat(6 * 1024 ** 2) } },
    });
    const answer = await rpc(`${stack.origin}/large/mcp`, body);
    assert.ok(answer.status === 200 || answer.status === 413, `${answer.status} ${answer.body}`);
  });
});
