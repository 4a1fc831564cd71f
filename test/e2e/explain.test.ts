import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { explained, runExplain } from '../support/explain.ts';
import { send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** One request, sent to a real Envoy and described to `explain`. */
interface Row {
  readonly what: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: readonly string[] | (() => Promise<readonly string[]>);
  readonly body?: object | string;
  /** Default: JSON. */
  readonly type?: string;
  readonly reason: string;
  /** ext_proc sees it: there are two lines in the audit. */
  readonly byExtProc?: boolean;
}

const API_KEY = 'a-very-secret-api-key';
const STATIC = 'a-very-secret-static-value';

describe('explain says what the running service does', () => {
  let issuer: FakeIssuer;
  let stranger: FakeIssuer;
  let stack: Stack;
  const call = toolCall('read_file', 7);
  const bearer =
    (claims: Record<string, unknown> = {}, options = {}) =>
    async () => [
      'authorization',
      `Bearer ${await issuer.token({ aud: `${stack.origin}/tools/mcp`, sub: 'alice', email: 'alice@example.com', scope: 'mcp:read', ...claims }, options)}`,
    ];
  const at =
    (path: string, claims: Record<string, unknown> = {}) =>
    async () =>
      bearer({ aud: stack.origin + path, ...claims })();
  const seconds = () => Math.floor(Date.now() / 1000);

  before(async () => {
    issuer = await startIssuer();
    stranger = await startIssuer();
    const key = Buffer.alloc(32, 7).toString('base64');
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: {
          corp: { type: 'jwt', issuer: issuer.issuer },
          bots: {
            type: 'api_key',
            keys: [
              { id: 'bot', sha256: createHash('sha256').update(API_KEY).digest('hex'), subject: 'bot' },
              {
                id: 'old',
                sha256: createHash('sha256').update('an-old-api-key').digest('hex'),
                subject: 'old',
                expires: '2020-01-01',
              },
            ],
          },
          people: {
            type: 'basic',
            users: [
              {
                username: 'u',
                passwordHash: '$2b$04$5TnYt3OkQuSXK/m1QMjzBOaVjIfqkzGdkn4eg4Xm1EzRNk0ZCFlOm',
                subject: 'u',
              },
            ],
          },
          mesh: { type: 'trusted_proxy', userHeader: 'x-authenticated-user', trustedPeers: ['127.0.0.1'] },
          far: { type: 'trusted_proxy', userHeader: 'x-far-user', trustedPeers: ['10.0.0.0/8'] },
          bound: { type: 'jwt', issuer: stranger.issuer, dpop: 'required' },
          guest: { type: 'anonymous' },
        },
        secrets: { 'static-key': STATIC },
        session: { keys: [{ id: 'k', key }] },
        limits: { maxBody: '64KiB' },
      },
      routes: (origin) => {
        const policy = (backend: string, more: Record<string, unknown>) => ({
          prefix: `/${backend}/mcp`,
          policy: {
            backend,
            resource: `${origin}/${backend}/mcp`,
            incomingAuth: ['corp'],
            outgoingAuth: { type: 'claim_injection', claimInjection: { claims: ['sub', 'email'] } },
            ...more,
          },
        });
        return [
          policy('tools', {
            scopes: ['mcp:read'],
            tools: { delete_repo: { scopes: ['repo:admin'] }, 'admin_*': { deny: true } },
          }),
          policy('keys', {
            incomingAuth: ['bots', 'mesh', 'far'],
            outgoingAuth: {
              type: 'header_injection',
              headerInjection: { headerName: 'X-Api-Key', secret: 'static-key' },
            },
          }),
          policy('words', { incomingAuth: ['people'] }),
          policy('guest', {
            incomingAuth: ['corp', 'guest'],
            tools: { secret_tool: { scopes: ['x'] } },
            headerForward: { plaintext: { 'X-Api-Version': '2' } },
            passthroughHeaders: ['X-Trace-Id'],
            outgoingAuth: { type: 'unauthenticated' },
          }),
          policy('meta', {
            identityPropagation: { mode: 'both', attributes: ['id', 'email'] },
            session: { bind: true },
          }),
          policy('bound', { incomingAuth: ['bound'] }),
          { prefix: '/unconfigured/mcp' },
          policy('wrong', { incomingAuth: ['nobody'] }),
        ];
      },
      validate: false,
      liveAdmin: true,
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
    await stranger?.stop();
  });

  const basic = (text: string) => ['authorization', `Basic ${Buffer.from(text).toString('base64')}`];
  const rows: Row[] = [
    { what: 'a call', headers: bearer(), body: call, reason: 'ok' },
    { what: 'a listening GET', method: 'GET', headers: bearer(), reason: 'ok' },
    {
      what: 'copies of our headers',
      headers: async () => [...(await bearer()()), 'x-user-sub', 'root', 'X_User_Sub', 'root', 'cookie', 'a=b'],
      body: call,
      reason: 'ok',
    },
    { what: 'an API key', path: '/keys/mcp', headers: ['x-api-key', API_KEY], body: call, reason: 'ok' },
    { what: 'a trusted proxy', path: '/keys/mcp', headers: ['x-authenticated-user', 'zoe'], body: call, reason: 'ok' },
    {
      what: 'an anonymous caller',
      path: '/guest/mcp',
      headers: ['x-trace-id', '5', 'x-other', '6'],
      body: call,
      reason: 'ok',
    },
    {
      what: '_meta and a session',
      path: '/meta/mcp',
      headers: at('/meta/mcp'),
      body: call,
      reason: 'ok',
      byExtProc: true,
    },
    {
      what: 'a body that ext_proc refuses',
      path: '/meta/mcp',
      headers: at('/meta/mcp'),
      body: '{"jsonrpc":',
      reason: 'body_not_json',
      byExtProc: true,
    },
    { what: 'no credential', body: call, reason: 'credential_missing' },
    { what: 'another scheme', headers: ['authorization', 'Negotiate x'], body: call, reason: 'scheme_not_accepted' },
    { what: 'no JWT', headers: ['authorization', 'Bearer opaque'], body: call, reason: 'token_malformed' },
    { what: 'expired', headers: async () => bearer({ exp: seconds() - 60 })(), body: call, reason: 'token_expired' },
    {
      what: 'not yet valid',
      headers: async () => bearer({ nbf: seconds() + 600 })(),
      body: call,
      reason: 'token_not_yet_valid',
    },
    { what: 'no exp', headers: bearer({ exp: undefined }), body: call, reason: 'token_claims' },
    { what: 'no sub', headers: bearer({ sub: undefined }), body: call, reason: 'token_claims' },
    {
      what: 'another audience',
      headers: bearer({ aud: 'https://other.example.com' }),
      body: call,
      reason: 'token_audience',
    },
    {
      what: 'another issuer',
      headers: async () => ['authorization', `Bearer ${await stranger.token({})}`],
      body: call,
      reason: 'token_issuer',
    },
    {
      what: 'a wrong signature',
      headers: async () => ['authorization', `Bearer ${await issuer.forged({ aud: `${stack.origin}/tools/mcp` })}`],
      body: call,
      reason: 'token_signature',
    },
    {
      what: 'alg none',
      headers: async () => ['authorization', `Bearer ${issuer.unsecured({})}`],
      body: call,
      reason: 'token_algorithm',
    },
    { what: 'an ID token', headers: bearer({}, { typ: 'id+jwt' }), body: call, reason: 'token_type' },
    { what: 'a bound token', headers: bearer({ cnf: { jkt: 'x' } }), body: call, reason: 'token_sender_constrained' },
    {
      what: 'a token that is not bound',
      path: '/bound/mcp',
      headers: async () => ['authorization', `DPoP ${await stranger.token({})}`],
      body: call,
      reason: 'token_not_bound',
    },
    {
      what: 'no proof',
      path: '/bound/mcp',
      headers: async () => ['authorization', `DPoP ${await stranger.token({ cnf: { jkt: 'a'.repeat(43) } })}`],
      body: call,
      reason: 'dpop_proof_missing',
    },
    {
      what: 'no proof that can be read',
      path: '/bound/mcp',
      headers: async () => [
        'authorization',
        `DPoP ${await stranger.token({ cnf: { jkt: 'a'.repeat(43) } })}`,
        'dpop',
        'x',
      ],
      body: call,
      reason: 'dpop_proof_invalid',
    },
    { what: 'an unknown key', headers: bearer({}, { kid: 'nobody' }), body: call, reason: 'token_key_unknown' },
    {
      what: 'too long a token',
      headers: bearer({ filler: 'x'.repeat(20_000) }),
      body: call,
      reason: 'token_too_large',
    },
    {
      what: 'two credentials',
      headers: async () => [...(await bearer()()), ...(await bearer()())],
      body: call,
      reason: 'authorization_repeated',
    },
    { what: 'an empty bearer', headers: ['authorization', 'Bearer '], body: call, reason: 'authorization_malformed' },
    {
      what: 'a wrong API key',
      path: '/keys/mcp',
      headers: ['x-api-key', 'guessed'],
      body: call,
      reason: 'credential_wrong',
    },
    {
      what: 'an old API key',
      path: '/keys/mcp',
      headers: ['x-api-key', 'an-old-api-key'],
      body: call,
      reason: 'credential_expired',
    },
    { what: 'a wrong password', path: '/words/mcp', headers: basic('u:wrong'), body: call, reason: 'credential_wrong' },
    {
      what: 'broken Basic',
      path: '/words/mcp',
      headers: ['authorization', 'Basic !'],
      body: call,
      reason: 'authorization_malformed',
    },
    {
      what: 'a proxy that nobody trusts',
      path: '/keys/mcp',
      headers: ['x-far-user', 'zoe'],
      body: call,
      reason: 'credential_missing',
    },
    { what: 'no scope', headers: bearer({ scope: 'other' }), body: call, reason: 'scope_missing' },
    {
      what: 'no scope for the tool',
      headers: bearer(),
      body: toolCall('delete_repo', 'id-1'),
      reason: 'scope_missing',
    },
    { what: 'a denied tool', headers: bearer(), body: toolCall('admin_x'), reason: 'tool_denied' },
    {
      what: 'a tool that is not for guests',
      path: '/guest/mcp',
      body: toolCall('secret_tool'),
      reason: 'login_required',
    },
    {
      what: 'another origin',
      headers: async () => [...(await bearer()()), 'origin', 'https://evil.example.com'],
      body: call,
      reason: 'origin_denied',
    },
    { what: 'no body', headers: bearer(), method: 'POST', reason: 'body_missing' },
    { what: 'no JSON', headers: bearer(), body: '{"jsonrpc":', reason: 'body_not_json' },
    { what: 'a batch', headers: bearer(), body: '[{}]', reason: 'body_batch' },
    {
      what: 'two keys',
      headers: bearer(),
      body: '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"ping"}',
      reason: 'body_ambiguous',
    },
    { what: 'no JSON-RPC', headers: bearer(), body: '{"a":1}', reason: 'body_not_jsonrpc' },
    {
      what: 'another Mcp-Name',
      headers: async () => [...(await bearer()()), 'mcp-name', 'safe'],
      body: call,
      reason: 'header_mismatch',
    },
    {
      what: 'a compressed body',
      headers: async () => [...(await bearer()()), 'content-encoding', 'gzip'],
      body: call,
      reason: 'body_encoded',
    },
    { what: 'another type', headers: bearer(), type: 'text/plain', body: call, reason: 'body_type' },
    { what: 'a large body', headers: bearer(), body: toolCall('x'.repeat(70_000)), reason: 'body_too_large' },
    {
      what: 'an unknown session',
      path: '/meta/mcp',
      headers: async () => [...(await at('/meta/mcp')()), 'mcp-session-id', 'made-up'],
      body: call,
      reason: 'session_unknown',
    },
    {
      what: 'a route without policy',
      path: '/unconfigured/mcp',
      headers: bearer(),
      body: call,
      reason: 'policy_missing',
    },
    {
      what: 'a route with a wrong policy',
      path: '/wrong/mcp',
      headers: bearer(),
      body: call,
      reason: 'policy_invalid',
    },
  ];

  for (const {
    what,
    path = '/tools/mcp',
    method,
    headers = [],
    body,
    type = 'application/json',
    reason,
    byExtProc,
  } of rows) {
    it(`${what}: ${reason}`, async () => {
      const given = typeof headers === 'function' ? await headers() : headers;
      const text = typeof body === 'object' ? JSON.stringify(body) : body;
      const all = [...given, ...(text === undefined ? [] : ['content-type', type])];
      const verb = method ?? 'POST';
      const event = byExtProc && reason !== 'ok' ? 'response' : 'decision';
      const lines = stack.audit().length;
      const real = await send(stack.origin + path, {
        method: verb,
        headers: all,
        ...(text !== undefined && { body: text }),
      });
      const line = await stack.services[0]!.until(() =>
        stack
          .audit()
          .slice(lines)
          .find((entry) => entry.reason === reason && entry.event === event),
      );

      const file = join(stack.folder, 'request.json');
      const pairs: Record<string, string[]> = {};
      for (let i = 0; i < all.length; i += 2) (pairs[all[i] as string] ??= []).push(all[i + 1] as string);
      writeFileSync(
        file,
        JSON.stringify({
          method: verb,
          url: stack.origin + path,
          headers: pairs,
          body: text,
          peer: { address: '127.0.0.1' },
        }),
      );
      const argv = [
        '--config',
        join(stack.folder, 'sidecar-0.yaml'),
        '--envoy',
        join(stack.folder, 'envoy.json'),
        '--request',
        file,
      ];
      const { json, code, stdout } = await explained(argv);
      const told = json.audit.at(-1) as unknown as Record<string, unknown>;

      const {
        time: _t,
        duration_ms: _d,
        request_id: _r,
        backend_status: _b,
        event: _e,
        ...wanted
      } = line as Record<string, unknown>;
      const { time: _t2, duration_ms: _d2, request_id: _r2, backend_status: _b2, event: _e2, ...said } = told;
      if (!byExtProc || reason !== 'ok') assert.deepEqual(said, wanted, 'the same line in the audit');
      if (reason === 'ok') {
        assert.equal(real.status, 200, real.body);
        assert.equal(code, 0, JSON.stringify(json, null, 1));
        assert.equal(json.verdict, 'allow');
        const arrived = stack.backend.last().headers;
        for (const { name, value } of json.forwarded!.set)
          if (value !== undefined && !name.startsWith(':')) assert.equal(arrived[name], value, name);
        for (const name of json.forwarded!.removed) assert.equal(arrived[name], undefined, name);
        for (const { name } of json.forwarded!.set) assert.ok(arrived[name] !== undefined, name);
      } else {
        assert.equal(code, 1, JSON.stringify(json, null, 1));
        assert.equal(json.verdict, 'deny');
        assert.equal(json.answer!.status, real.status);
        assert.equal(json.answer!.body, real.body);
        assert.ok(json.answer!.mend);
        const header = (name: string) =>
          json
            .answer!.headers.filter(([one]) => one === name)
            .map(([, value]) => value)
            .join(', ');
        assert.equal(header('www-authenticate'), real.headers['www-authenticate'] ?? '');
      }
      const { stdout: readable } = await runExplain(argv);
      for (let i = 1; i < given.length; i += 2)
        if (/authorization|key|cookie/.test(given[i - 1] as string) && (given[i] as string).length > 12)
          for (const part of (given[i] as string).split(/[\s.]+/).filter((one) => one.length > 8))
            assert.ok(!(stdout + readable).includes(part), `${given[i - 1]} is printed`);
      assert.ok(!(stdout + readable).includes(STATIC));
    });
  }
});
