import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

describe('identity reaches the backend through a real Envoy', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const bearer = async (claims: Record<string, unknown>, resource = '/claims/mcp') => [
    'Authorization',
    `Bearer ${await issuer.token({ aud: stack.origin + resource, ...claims })}`,
  ];

  before(async () => {
    issuer = await startIssuer();
    stack = await startStack({
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer }, guest: { type: 'anonymous' } },
        secrets: { 'api-key': { env: 'TEST_API_KEY' } },
      },
      env: { TEST_API_KEY: 'k-123' },
      routes: (origin) => [
        {
          prefix: '/claims/mcp',
          policy: {
            backend: 'claims',
            resource: `${origin}/claims/mcp`,
            incomingAuth: ['corp', 'guest'],
            outgoingAuth: {
              type: 'claim_injection',
              claimInjection: {
                claims: {
                  sub: 'X-User-Sub',
                  email: 'X-User-Email',
                  groups: 'X-Groups',
                  'realm_access.roles': 'X-Roles',
                  address: 'X-Address',
                },
              },
            },
            passthroughHeaders: ['X-Trace-Id'],
            headerForward: { plaintext: { 'X-Api-Version': '2' }, secrets: { 'X-Api-Key': 'api-key' } },
          },
        },
        {
          prefix: '/default/mcp',
          policy: {
            backend: 'default',
            resource: `${origin}/default/mcp`,
            incomingAuth: ['corp'],
            outgoingAuth: { type: 'claim_injection' },
          },
        },
        {
          prefix: '/static/mcp',
          policy: {
            backend: 'static',
            resource: `${origin}/static/mcp`,
            incomingAuth: ['corp'],
            outgoingAuth: {
              type: 'header_injection',
              headerInjection: { headerName: 'Authorization', secret: 'api-key' },
            },
          },
        },
        {
          prefix: '/none/mcp',
          policy: {
            backend: 'none',
            resource: `${origin}/none/mcp`,
            incomingAuth: ['corp', 'guest'],
            outgoingAuth: { type: 'unauthenticated' },
          },
        },
        {
          prefix: '/forwarded/mcp',
          policy: {
            backend: 'forwarded',
            resource: `${origin}/forwarded/mcp`,
            incomingAuth: ['corp', 'guest'],
            outgoingAuth: { type: 'unauthenticated' },
            identityPropagation: {
              mode: 'headers',
              attributes: ['id', 'issuer', 'email', 'groups', 'auth_method', 'delegation_chain'],
              claims: { department: 'Department' },
            },
          },
        },
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

  it('maps claims to headers, losslessly encoded (R1)', async () => {
    const headers = await bearer({
      sub: 'alice',
      email: 'alice@example.com',
      groups: ['a,b', 'c d', 'ü'],
      realm_access: { roles: ['admin'] },
      address: { city: 'Köln' },
    });
    const answer = await rpc(`${stack.origin}/claims/mcp`, toolCall('x'), headers);
    assert.equal(answer.status, 200, answer.body);
    const seen = stack.backend.last().headers;
    assert.equal(seen['x-user-sub'], 'alice');
    assert.equal(seen['x-user-email'], 'alice@example.com');
    assert.equal(seen['x-groups'], 'a%2Cb,c d,%C3%BC');
    assert.equal(seen['x-roles'], 'admin');
    assert.equal(seen['x-address'], '{"city":"K%C3%B6ln"}');
    assert.equal(seen['authorization'], undefined, 'the caller’s token stays with us');
    assert.equal(seen['x-api-version'], '2');
    assert.equal(seen['x-api-key'], 'k-123');
  });

  it('injects sub only by default (R1)', async () => {
    await rpc(
      `${stack.origin}/default/mcp`,
      toolCall('x'),
      await bearer({ sub: 'alice', email: 'a@example.com', name: 'Alice' }, '/default/mcp'),
    );
    const seen = stack.backend.last().headers;
    assert.equal(seen['x-user-sub'], 'alice');
    assert.deepEqual(
      Object.keys(seen).filter((name) => name.startsWith('x-user-')),
      ['x-user-sub'],
    );
  });

  it('cannot be broken by CR, LF, NUL and other bytes in claims', async () => {
    await rpc(
      `${stack.origin}/default/mcp`,
      toolCall('x'),
      await bearer({ sub: ' al\r\nX-Admin: 1\u0000é ' }, '/default/mcp'),
    );
    const seen = stack.backend.last();
    assert.equal(seen.headers['x-user-sub'], '%20al%0D%0AX-Admin: 1%00%C3%A9%20');
    assert.equal(seen.headers['x-admin'], undefined);
  });

  it('injects nothing for anonymous callers and still strips their copies (R2)', async () => {
    const answer = await rpc(`${stack.origin}/claims/mcp`, toolCall('x'), [
      'X-User-Sub',
      'root',
      'x-user-email',
      'root@example.com',
      'X-Groups',
      'admin',
      'X-Roles',
      'admin',
    ]);
    assert.equal(answer.status, 200, answer.body);
    const seen = stack.backend.last().headers;
    assert.deepEqual(
      Object.keys(seen).filter((name) => /user|groups|roles/.test(name) && name !== 'user-agent'),
      [],
    );
  });

  it('adds no claim headers beside another strategy (R3)', async () => {
    await rpc(
      `${stack.origin}/static/mcp`,
      toolCall('x'),
      await bearer({ sub: 'alice', email: 'a@example.com' }, '/static/mcp'),
    );
    const seen = stack.backend.last().headers;
    assert.equal(seen['authorization'], 'k-123');
    assert.deepEqual(
      Object.keys(seen).filter((name) => name.startsWith('x-user') || name.startsWith('x-forwarded-user')),
      [],
    );
  });

  it('lets only the allow-list and the route’s passthrough headers through (R9, contract §6)', async () => {
    const sent = [
      'Accept-Language',
      'de',
      'User-Agent',
      'test',
      'Mcp-Session-Id',
      's',
      'Mcp-Protocol-Version',
      '2025-11-25',
      'Mcp-Param-Region',
      'eu',
      'Last-Event-Id',
      '7',
      'traceparent',
      '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'tracestate',
      'a=b',
      'baggage',
      'k=v',
      'X-Trace-Id',
      't-1',
      'Cookie',
      'a=b',
      'X-Api-Key',
      'mine',
      'DPoP',
      'x',
      'Proxy-Authorization',
      'x',
      'X-User-Sub',
      'root',
      'X_User_Sub',
      'root',
      'X_Trace_Id',
      'evil',
      'X-Forwarded-User-Id',
      'root',
      'X-Forwarded-Host',
      'evil',
      'X-Real-IP',
      '1.2.3.4',
      'X-Envoy-Retry-On',
      '5xx',
      'X-Envoy-Original-Path',
      '/x',
      'X-Other',
      '1',
      'X-HTTP-Method-Override',
      'DELETE',
      'Forwarded',
      'for=1.2.3.4',
      'X-Amz-Security-Token',
      'x',
    ];
    const answer = await rpc(`${stack.origin}/claims/mcp`, toolCall('x'), [
      ...sent,
      ...(await bearer({ sub: 'alice' })),
    ]);
    assert.equal(answer.status, 200, answer.body);
    const names = Object.keys(stack.backend.last().headers).sort();
    assert.deepEqual(
      names,
      [
        'accept',
        'accept-language',
        'baggage',
        'content-length',
        'content-type',
        'host',
        'last-event-id',
        'mcp-param-region',
        'mcp-protocol-version',
        'mcp-session-id',
        'traceparent',
        'tracestate',
        'user-agent',
        'x-api-key',
        'x-api-version',
        'x-forwarded-for',
        'x-forwarded-proto',
        'x-request-id',
        'x-trace-id',
        'x-user-sub',
      ].sort(),
    );
    assert.equal(stack.backend.last().headers['x-api-key'], 'k-123');
    assert.equal(stack.backend.last().headers['x-trace-id'], 't-1');
  });

  it('tells the backend who the user is by X-Forwarded-User-* when asked (R4)', async () => {
    await rpc(`${stack.origin}/forwarded/mcp`, toolCall('x'), [
      ...(await bearer(
        {
          sub: 'alice',
          email: 'a@example.com',
          groups: ['g1', 'g2'],
          department: 'R&D',
          act: { sub: 'agent', act: { sub: 'gateway' } },
        },
        '/forwarded/mcp',
      )),
      'X-Forwarded-User-Roles',
      'admin',
    ]);
    const seen = stack.backend.last().headers;
    const forwarded = Object.fromEntries(Object.entries(seen).filter(([name]) => name.startsWith('x-forwarded-user')));
    assert.deepEqual(forwarded, {
      'x-forwarded-user-id': 'alice',
      'x-forwarded-user-issuer': issuer.issuer,
      'x-forwarded-user-email': 'a@example.com',
      'x-forwarded-user-groups': 'g1,g2',
      'x-forwarded-user-auth-method': 'jwt',
      'x-forwarded-user-delegation-chain': 'agent,gateway',
      'x-forwarded-user-department': 'R&D',
    });
  });

  it('audits every decision without values of headers (R7)', async () => {
    const token = await issuer.token({
      aud: `${stack.origin}/claims/mcp`,
      sub: 'alice',
      email: 'secret@example.com',
      act: { sub: 'agent' },
    });
    const answer = await rpc(`${stack.origin}/claims/mcp`, toolCall('read_file'), [
      'Authorization',
      `Bearer ${token}`,
      'traceparent',
      '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    ]);
    assert.equal(answer.status, 200);
    const line = await stack.auditOf(stack.backend.last().headers['x-request-id'] as string);
    const { time, duration_ms, request_id, ...rest } = line as Record<string, unknown>;
    assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
    assert.equal(typeof duration_ms, 'number');
    assert.ok(request_id);
    assert.deepEqual(rest, {
      event: 'decision',
      outcome: 'allow',
      reason: 'ok',
      status: 200,
      trace_id: '0af7651916cd43dd8448eb211c80319c',
      issuer: issuer.issuer,
      subject: 'alice',
      auth_method: 'jwt',
      incoming_auth: 'corp',
      acting_as: 'agent',
      delegation_chain: ['agent'],
      backend: 'claims',
      mcp_method: 'tools/call',
      mcp_name: 'read_file',
      strategy: 'claim_injection',
      headers_set: ['x-api-version', 'x-api-key', 'x-user-email', 'x-user-sub'],
    });
    const all = stack.services.map((service) => service.stdout + service.stderr).join('');
    for (const secret of [token, token.split('.')[2] as string, 'secret@example.com', 'k-123'])
      assert.equal(all.includes(secret), false);
  });

  it('serves protected-resource metadata where clients look for it (RFC 9728)', async () => {
    const answer = await send(`${stack.origin}/.well-known/oauth-protected-resource/claims/mcp`);
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json(), {
      resource: `${stack.origin}/claims/mcp`,
      authorization_servers: [issuer.issuer],
      bearer_methods_supported: ['header'],
    });
    assert.equal((await send(`${stack.origin}/.well-known/oauth-protected-resource/other`)).status, 404);
  });

  it('counts decisions and measures their time', async () => {
    await rpc(`${stack.origin}/none/mcp`, toolCall('x'), []);
    const text = await stack.metrics();
    assert.match(
      text,
      /mcp_identity_decisions_total\{backend="none",strategy="unauthenticated",outcome="allow",reason="ok"\} \d+/,
    );
    assert.match(text, /mcp_identity_check_duration_seconds_count \d+/);
    assert.match(text, /jwks/);
  });
});
