import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Answer, rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** One row: what is wrong, what the client gets, what the audit says. */
interface Row {
  readonly cause: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: () => Promise<readonly string[]> | readonly string[];
  readonly body?: string | Buffer | object;
  readonly status: number;
  /** `error` of the challenge; null for a bare one, undefined for none. */
  readonly error?: string | null;
  readonly scope?: string;
  readonly rpcCode?: number;
  readonly reason: string;
}

describe('every refusal: cause, status, challenge, body, audit', () => {
  let issuer: FakeIssuer;
  let stranger: FakeIssuer;
  let stack: Stack;
  const resource = () => `${stack.origin}/tools/mcp`;
  const bearer = async (claims: Record<string, unknown> = {}, options = {}) => [
    'Authorization',
    `Bearer ${await issuer.token({ aud: resource(), sub: 'alice', scope: 'mcp:read', ...claims }, options)}`,
  ];
  const good = () => bearer();
  const now = () => Math.floor(Date.now() / 1000);

  before(async () => {
    issuer = await startIssuer();
    stranger = await startIssuer();
    stack = await startStack({
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer }, guest: { type: 'anonymous' } },
        limits: { maxBody: '64KiB' },
      },
      routes: (origin) => [
        {
          prefix: '/tools/mcp',
          policy: {
            backend: 'tools',
            resource: `${origin}/tools/mcp`,
            incomingAuth: ['corp'],
            scopes: ['mcp:read'],
            tools: { delete_repo: { scopes: ['repo:admin'] }, 'admin_*': { deny: true }, admin_help: { scopes: [] } },
            outgoingAuth: { type: 'claim_injection' },
          },
        },
        {
          prefix: '/guest/mcp',
          policy: {
            backend: 'guest',
            resource: `${origin}/guest/mcp`,
            incomingAuth: ['corp', 'guest'],
            tools: { secret_tool: { scopes: ['x'] } },
            outgoingAuth: { type: 'unauthenticated' },
          },
        },
        { prefix: '/unconfigured/mcp' },
        {
          prefix: '/wrong/mcp',
          policy: { backend: 'wrong', incomingAuth: ['nobody'], outgoingAuth: { type: 'unauthenticated' } },
        },
      ],
      validate: false,
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
    await stranger?.stop();
  });

  const call = toolCall('read_file', 7);
  const rows: Row[] = [
    {
      cause: 'no credential',
      body: call,
      status: 401,
      error: null,
      scope: 'mcp:read',
      rpcCode: -32001,
      reason: 'credential_missing',
    },
    {
      cause: 'a scheme nobody lists',
      headers: () => ['Authorization', 'Negotiate abc'],
      body: call,
      status: 401,
      error: null,
      scope: 'mcp:read',
      reason: 'scheme_not_accepted',
    },
    {
      cause: 'Basic where only JWT is accepted',
      headers: () => ['Authorization', 'Basic YTpi'],
      body: call,
      status: 401,
      error: null,
      reason: 'scheme_not_accepted',
    },
    {
      cause: 'no JWT',
      headers: () => ['Authorization', 'Bearer opaque-token'],
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_malformed',
    },
    {
      cause: 'expired',
      headers: () => bearer({ exp: now() - 60 }),
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_expired',
    },
    {
      cause: 'not yet valid',
      headers: () => bearer({ nbf: now() + 600 }),
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_not_yet_valid',
    },
    {
      cause: 'no exp',
      headers: () => bearer({ exp: undefined }),
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_claims',
    },
    {
      cause: 'no sub',
      headers: () => bearer({ sub: undefined }),
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_claims',
    },
    {
      cause: 'another audience',
      headers: () => bearer({ aud: 'https://other.example.com' }),
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_audience',
    },
    {
      cause: 'another issuer',
      headers: async () => ['Authorization', `Bearer ${await stranger.token({ aud: resource() })}`],
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_issuer',
    },
    {
      cause: 'a stranger’s signature under our issuer’s name',
      headers: async () => ['Authorization', `Bearer ${await issuer.forged({ aud: resource() })}`],
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_signature',
    },
    {
      cause: 'alg none',
      headers: () => ['Authorization', `Bearer ${issuer.unsecured({ aud: resource() })}`],
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_algorithm',
    },
    {
      cause: 'HS256 with the public key',
      headers: async () => ['Authorization', `Bearer ${await issuer.confused({ aud: resource() })}`],
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_algorithm',
    },
    {
      cause: 'an ID token’s type',
      headers: () => bearer({}, { typ: 'id+jwt' }),
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_type',
    },
    {
      cause: 'a sender-constrained token',
      headers: () => bearer({ cnf: { jkt: 'x' } }),
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_sender_constrained',
    },
    {
      cause: 'an unknown key',
      headers: () => bearer({}, { kid: 'nobody' }),
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_key_unknown',
    },
    {
      cause: 'a token beyond the limit',
      headers: () => bearer({ filler: 'x'.repeat(20_000) }),
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_too_large',
    },
    {
      cause: 'two credentials, joined by Envoy',
      headers: async () => [...(await good()), ...(await good())],
      body: call,
      status: 400,
      error: 'invalid_request',
      reason: 'authorization_repeated',
    },
    {
      cause: 'two credentials in one header',
      headers: () => ['Authorization', 'Bearer a,Bearer b'],
      body: call,
      status: 400,
      error: 'invalid_request',
      reason: 'authorization_repeated',
    },
    {
      cause: 'empty bearer',
      headers: () => ['Authorization', 'Bearer '],
      body: call,
      status: 400,
      error: 'invalid_request',
      reason: 'authorization_malformed',
    },
    {
      cause: 'characters outside token68',
      headers: () => ['Authorization', 'Bearer a b'],
      body: call,
      status: 400,
      error: 'invalid_request',
      reason: 'authorization_malformed',
    },
    {
      cause: 'a scope of the route is missing',
      headers: () => bearer({ scope: 'other' }),
      body: call,
      status: 403,
      error: 'insufficient_scope',
      scope: 'mcp:read',
      rpcCode: -32003,
      reason: 'scope_missing',
    },
    {
      cause: 'a scope of the tool is missing',
      headers: good,
      body: toolCall('delete_repo', 'id-1'),
      status: 403,
      error: 'insufficient_scope',
      scope: 'mcp:read repo:admin',
      rpcCode: -32003,
      reason: 'scope_missing',
    },
    {
      cause: 'a denied tool',
      headers: good,
      body: toolCall('admin_delete'),
      status: 403,
      rpcCode: -32003,
      reason: 'tool_denied',
    },
    {
      cause: 'scopes needed of an anonymous caller',
      path: '/guest/mcp',
      body: toolCall('secret_tool'),
      status: 401,
      error: null,
      reason: 'login_required',
    },
    {
      cause: 'a foreign token never becomes a guest',
      path: '/guest/mcp',
      headers: async () => ['Authorization', `Bearer ${await stranger.token({})}`],
      body: call,
      status: 401,
      error: 'invalid_token',
      reason: 'token_issuer',
    },
    {
      cause: 'a foreign scheme never becomes a guest',
      path: '/guest/mcp',
      headers: () => ['Authorization', 'Digest x'],
      body: call,
      status: 401,
      error: null,
      reason: 'scheme_not_accepted',
    },
    {
      cause: 'another origin',
      headers: async () => [...(await good()), 'Origin', 'https://evil.example.com'],
      body: call,
      status: 403,
      reason: 'origin_denied',
    },
    {
      cause: 'origin null',
      headers: async () => [...(await good()), 'Origin', 'null'],
      body: call,
      status: 403,
      reason: 'origin_denied',
    },
    { cause: 'no JSON', headers: good, body: '{"jsonrpc":', status: 400, reason: 'body_not_json' },
    { cause: 'a batch', headers: good, body: `[${JSON.stringify(call)}]`, status: 400, reason: 'body_batch' },
    {
      cause: 'no UTF-8: delete_repo\\xff',
      headers: good,
      body: Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_repo\xff"}}', 'latin1'),
      status: 400,
      reason: 'body_not_utf8',
    },
    {
      cause: 'a duplicate key',
      headers: good,
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file"},"params":{"name":"delete_repo"}}',
      status: 400,
      reason: 'body_ambiguous',
    },
    {
      cause: 'a duplicate key in params',
      headers: good,
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file","name":"delete_repo"}}',
      status: 400,
      reason: 'body_ambiguous',
    },
    {
      cause: 'a key twice in another case',
      headers: good,
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file"},"Params":{"name":"delete_repo"}}',
      status: 400,
      reason: 'body_ambiguous',
    },
    {
      cause: 'a lone key in the wrong case',
      headers: good,
      body: '{"jsonrpc":"2.0","id":1,"Method":"tools/call","params":{"name":"delete_repo"}}',
      status: 400,
      reason: 'body_ambiguous',
    },
    {
      cause: 'a key that folds (long s)',
      headers: good,
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file"},"paramſ":{"name":"delete_repo"}}',
      status: 400,
      reason: 'body_ambiguous',
    },
    { cause: 'no JSON-RPC', headers: good, body: '{"hello":1}', status: 400, reason: 'body_not_jsonrpc' },
    { cause: 'no body', headers: good, method: 'POST', status: 400, reason: 'body_missing' },
    {
      cause: 'Mcp-Name of another tool',
      headers: async () => [
        ...(await good()),
        'Mcp-Protocol-Version',
        '2026-07-28',
        'Mcp-Method',
        'tools/call',
        'Mcp-Name',
        'safe',
      ],
      body: toolCall('delete_repo', 3),
      status: 400,
      rpcCode: -32020,
      reason: 'header_mismatch',
    },
    {
      cause: 'Mcp-Name of another tool under an old version',
      headers: async () => [...(await good()), 'Mcp-Protocol-Version', '2025-06-18', 'Mcp-Name', 'safe'],
      body: toolCall('read_file', 3),
      status: 400,
      rpcCode: -32020,
      reason: 'header_mismatch',
    },
    {
      cause: 'a 2026-07-28 version header without the headers it needs',
      headers: async () => [...(await good()), 'Mcp-Protocol-Version', '2026-07-28'],
      body: call,
      status: 400,
      rpcCode: -32020,
      reason: 'header_mismatch',
    },
    {
      cause: 'a content-encoding',
      headers: async () => [...(await good()), 'Content-Encoding', 'gzip'],
      body: call,
      status: 415,
      reason: 'body_encoded',
    },
    { cause: 'another content-type', headers: good, method: 'TEXT', body: call, status: 415, reason: 'body_type' },
    {
      cause: 'a body beyond limits.maxBody',
      headers: good,
      body: toolCall('x'.repeat(70_000)),
      status: 413,
      reason: 'body_too_large',
    },
    {
      cause: 'a route without metadata',
      path: '/unconfigured/mcp',
      headers: good,
      body: call,
      status: 500,
      reason: 'policy_missing',
    },
    {
      cause: 'a route with a wrong policy',
      path: '/wrong/mcp',
      headers: good,
      body: call,
      status: 500,
      reason: 'policy_invalid',
    },
  ];

  const perform = async (row: Row): Promise<Answer> => {
    const url = stack.origin + (row.path ?? '/tools/mcp');
    const headers = (await row.headers?.()) ?? [];
    const body = typeof row.body === 'object' && !Buffer.isBuffer(row.body) ? JSON.stringify(row.body) : row.body;
    if (row.method === 'TEXT')
      return send(url, { method: 'POST', headers: ['Content-Type', 'text/plain', ...headers], body: body ?? '' });
    if (row.method) return send(url, { method: row.method, headers });
    return rpc(url, body ?? '', headers);
  };

  for (const row of rows) {
    it(`${row.cause}: ${row.status} ${row.reason}`, async () => {
      const before = stack.backend.seen.length;
      const lines = stack.audit().length;
      const answer = await perform(row);
      assert.equal(answer.status, row.status, answer.body);
      assert.equal(stack.backend.seen.length, before, 'nothing reaches the backend');

      const challenge = answer.headers['www-authenticate'];
      const path = row.path ?? '/tools/mcp';
      const metadata = `resource_metadata="${stack.origin}/.well-known/oauth-protected-resource${path}"`;
      if (row.error === undefined) assert.equal(challenge, undefined);
      else if (row.error === null) {
        assert.ok(challenge?.startsWith(`Bearer ${metadata}`), challenge);
        assert.ok(!challenge?.includes('error='), challenge);
      } else {
        assert.ok(challenge?.startsWith(`Bearer error="${row.error}", error_description="`), challenge);
        assert.ok(challenge?.includes(metadata), challenge);
      }
      if (row.scope) assert.ok(challenge?.includes(`scope="${row.scope}"`), challenge);

      assert.equal(answer.headers['content-type'], 'application/json');
      const body = answer.json();
      if (row.rpcCode !== undefined) {
        assert.equal(body.jsonrpc, '2.0');
        assert.equal(body.error.code, row.rpcCode);
        assert.deepEqual(body.id, (row.body as { id: unknown }).id);
      }
      const line = await stack.services[0]!.until(() =>
        stack
          .audit()
          .slice(lines)
          .find((entry) => entry.reason === row.reason),
      );
      assert.equal(line.outcome, row.status >= 500 ? 'error' : 'deny');
      assert.equal(line['status'], row.status);

      // RFC 6750 clients step up by the challenge: the MCP SDK loops when it varies.
      if (challenge) assert.equal((await perform(row)).headers['www-authenticate'], challenge);
    });
  }

  it('lets through what is right: a tool without a rule, an exact name that beats a pattern, allowed origins, notifications', async () => {
    for (const [message, extra] of [
      [call, []],
      [toolCall('admin_help'), []],
      [call, ['Origin', stack.origin]],
      [{ jsonrpc: '2.0', method: 'notifications/initialized' }, []],
      [
        toolCall('read_file', 12345678901234567890n.toString()),
        ['Mcp-Protocol-Version', '2026-07-28', 'Mcp-Method', 'tools/call', 'Mcp-Name', 'read_file'],
      ],
    ] as const) {
      const answer = await rpc(`${stack.origin}/tools/mcp`, message, [...(await good()), ...extra]);
      assert.equal(answer.status, 200, `${JSON.stringify(message)} ${answer.body}`);
    }
    assert.equal((await send(`${stack.origin}/tools/mcp`, { headers: await good() })).status, 200);
    const admin = await bearer({ scope: 'mcp:read repo:admin' });
    assert.equal((await rpc(`${stack.origin}/tools/mcp`, toolCall('delete_repo'), admin)).status, 200);
  });

  it('echoes ids that are larger than a double can hold', async () => {
    const answer = await rpc(
      `${stack.origin}/tools/mcp`,
      '{"jsonrpc":"2.0","id":12345678901234567890123,"method":"tools/call","params":{"name":"admin_x"}}',
      await good(),
    );
    assert.equal(answer.status, 403);
    assert.ok(answer.body.includes('"id":12345678901234567890123,'));
  });
});
