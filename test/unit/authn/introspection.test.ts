import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { readAuthorization } from '../../../src/authn/authorization.ts';
import { createIntrospection } from '../../../src/authn/introspection.ts';
import type { Outcome } from '../../../src/authn/method.ts';
import { introspectionSchema } from '../../../src/authn/schema.ts';
import type { User } from '../../../src/core/identity.ts';
import type { Reason } from '../../../src/core/refusal.ts';
import { SecretRef } from '../../../src/core/secret.ts';
import { createEgress } from '../../../src/net/egress.ts';
import { bounded, requestWith, testTools } from './support.ts';

const START_MS = Date.UTC(2026, 0, 1);
const START = START_MS / 1_000;

/** An authorization server with an introspection endpoint; `answer` says what it answers. */
class FakeServer {
  issuer = '';
  readonly calls = { discovery: 0, introspection: 0 };
  lastHeaders: IncomingMessage['headers'] = {};
  lastForm = new URLSearchParams();
  /** By token; a number is a status, 'hang' gives no answer, a text is sent as it is, an object with `error` comes with 401. */
  answer: (token: string) => object | number | string = () => ({ active: false });
  challenge: string | undefined;
  metadata: (() => object | number) | undefined;
  /** Answers wait for it. */
  gate: Promise<void> = Promise.resolve();
  readonly #server = createServer((request, response) => void this.#handle(request, response));

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.issuer = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  /** Makes answers wait until the returned function is called. */
  hold(): () => void {
    let release = () => {};
    this.gate = new Promise((resolve) => (release = resolve));
    return release;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET') {
      this.calls.discovery++;
      const metadata = this.metadata?.() ?? {
        issuer: this.issuer,
        introspection_endpoint: `${this.issuer}/introspect`,
      };
      return send(response, metadata);
    }
    let body = '';
    for await (const chunk of request) body += String(chunk);
    this.calls.introspection++;
    this.lastHeaders = request.headers;
    this.lastForm = new URLSearchParams(body);
    await this.gate;
    send(response, this.answer(this.lastForm.get('token') ?? ''));
  }
}

function send(response: ServerResponse, answer: object | number | string): void {
  if (answer === 'hang') return;
  const status = typeof answer === 'number' ? answer : typeof answer === 'object' && 'error' in answer ? 401 : 200;
  const text = typeof answer === 'object' ? JSON.stringify(answer) : typeof answer === 'string' ? answer : '{}';
  const location = status === 302 ? { location: '/' } : {};
  const challenge = server.challenge === undefined ? {} : { 'www-authenticate': server.challenge };
  response.writeHead(status, { 'content-type': 'application/json', ...location, ...challenge });
  response.end(text);
}

let server: FakeServer;
beforeEach(async () => {
  server = await new FakeServer().start();
});
afterEach(() => server.stop());

function kit(config: Record<string, unknown> = {}) {
  const tools = testTools(START_MS);
  const secret = (text: string) => {
    const ref = new SecretRef({ literal: text });
    ref.read(text);
    return ref;
  };
  const parsed = introspectionSchema.parse({
    type: 'introspection',
    issuer: server.issuer,
    introspectionEndpoint: `${server.issuer}/introspect`,
    clientId: 'sidecar:1',
    ...config,
  });
  const method = createIntrospection(
    'opaque',
    { ...parsed, ...('clientSecret' in config ? {} : { clientSecret: secret('s3cret/&') }) },
    tools,
    createEgress({ ...tools, timeoutMs: 1_000 }),
  );
  const askNow = (authorization: string, signal = bounded()) => {
    const facts = requestWith({ authorization });
    return method.authenticate(facts, readAuthorization(facts.headers), signal);
  };
  const ask = async (authorization: string) => askNow(authorization);
  /** The outcome as the method gives it: a promise or not. */
  const presentNow = (token: string) => askNow(`Bearer ${token}`);
  const present = async (token: string, signal?: AbortSignal) => askNow(`Bearer ${token}`, signal);
  return { tools, method, ask, present, presentNow };
}

const ACTIVE = { active: true, sub: 'alice', aud: 'https://mcp.example.com/mcp', exp: START + 300 };
const rejected = (reason: Reason, more: object = {}) => ({ kind: 'rejected', refusal: { reason, ...more } });
const UNAVAILABLE = rejected('issuer_unavailable', { retryAfterSeconds: 5 });

function userOf(outcome: Outcome): User {
  assert.equal(outcome.kind, 'identified', JSON.stringify(outcome));
  return (outcome as Outcome & { kind: 'identified' }).user;
}

describe('an active token', { timeout: 20_000 }, () => {
  test('tells who the user is; claims of the issuer’s own are kept', async () => {
    const answer = {
      ...ACTIVE,
      iss: server.issuer,
      client_id: 'app',
      username: 'alice@corp',
      token_type: 'bearer',
      email: 'alice@example.com',
      realm_access: { roles: ['admin'] },
      scope: 'mcp:read mcp:write',
      scp: ['repo:admin'],
      act: { sub: 'agent', act: { sub: 'gateway' } },
      tenant: { id: 7 },
    };
    server.answer = () => answer;
    const { present } = kit({ attributeClaims: { roles: 'realm_access.roles' }, audience: 'x' });
    const { token, claims, ...user } = userOf(await present('t0ken'));
    assert.deepEqual(user, {
      kind: 'user',
      issuer: server.issuer,
      subject: 'alice',
      authMethod: 'introspection',
      methodName: 'opaque',
      attributes: { email: 'alice@example.com', roles: ['admin'] },
      scopes: new Set(['mcp:read', 'mcp:write', 'repo:admin']),
      delegationChain: ['agent', 'gateway'],
      audiences: ['https://mcp.example.com/mcp'],
      expiresAt: START + 300,
    });
    const { active: _, ...kept } = answer;
    assert.deepEqual(claims, kept);
    assert.equal(token?.reveal(), 't0ken');
  });

  test('may lack everything but its subject', async () => {
    server.answer = () => ({ active: true, sub: 'alice' });
    const user = userOf(await kit().present('t'));
    assert.deepEqual([user.subject, user.audiences, user.scopes.size, user.expiresAt], ['alice', [], 0, undefined]);
  });

  test('is named by the claim that the method says', async () => {
    server.answer = () => ({ ...ACTIVE, oid: '42' });
    assert.equal(userOf(await kit({ subjectClaim: 'oid' }).present('t')).subject, '42');
  });
});

describe('what the endpoint is asked', { timeout: 20_000 }, () => {
  beforeEach(() => {
    server.answer = () => ACTIVE;
  });

  test('client_secret_basic: id and secret form-encoded (RFC 6749 2.3.1)', async () => {
    await kit().present('a+b/c~d==');
    assert.deepEqual([...server.lastForm], [['token', 'a+b/c~d==']]);
    const [scheme, value = ''] = (server.lastHeaders.authorization ?? '').split(' ');
    assert.deepEqual([scheme, Buffer.from(value, 'base64').toString()], ['Basic', 'sidecar%3A1:s3cret%2F%26']);
  });

  test('client_secret_post', async () => {
    await kit({ clientAuth: 'client_secret_post' }).present('t');
    assert.deepEqual(Object.fromEntries(server.lastForm), {
      token: 't',
      client_id: 'sidecar:1',
      client_secret: 's3cret/&',
    });
    assert.equal(server.lastHeaders.authorization, undefined);
  });

  test('none', async () => {
    await kit({ clientAuth: 'none', clientSecret: undefined }).present('t');
    assert.deepEqual(Object.fromEntries(server.lastForm), { token: 't', client_id: 'sidecar:1' });
  });

  test('a client without the secret it needs is an error at start', () => {
    assert.throws(() => kit({ clientSecret: undefined }), {
      message: 'incomingAuth.opaque.clientSecret: is missing; clientAuth client_secret_basic needs it',
    });
  });
});

describe('which credentials it claims', { timeout: 20_000 }, () => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const jwt = `${part({ alg: 'RS256' })}.${part({ iss: 'https://idp.example.com' })}.c2ln`;
  const table: readonly [what: string, authorization: string, expected: object | 'asked'][] = [
    ['basic', 'Basic YTpi', { kind: 'absent' }],
    ['another scheme', 'DPoP abc', { kind: 'absent' }],
    ['a JWT', `Bearer ${jwt}`, { kind: 'absent' }],
    ['an unsecured JWT', `Bearer ${jwt.replace('c2ln', '')}`, { kind: 'absent' }],
    ['two dots', 'Bearer a.b.c', 'asked'],
    ['a JWE', `Bearer ${part({ alg: 'dir', enc: 'A256GCM' })}..aXY.Y2lwaGVy.dGFn`, 'asked'],
    ['an opaque token', 'Bearer 0/abc-._~+==', 'asked'],
    ['an oversized token', `Bearer ${'a'.repeat(16_385)}`, rejected('token_too_large')],
  ];
  for (const [what, authorization, expected] of table) {
    test(what, async () => {
      const outcome = await kit().ask(authorization);
      assert.deepEqual(outcome, expected === 'asked' ? rejected('token_inactive') : expected);
      assert.equal(server.calls.introspection, expected === 'asked' ? 1 : 0);
    });
  }
});

describe('a token that is not good', { timeout: 20_000 }, () => {
  const table: readonly [what: string, answer: object, reason: Reason, detail?: string][] = [
    ['inactive', { active: false }, 'token_inactive'],
    ['inactive, whatever else is said', { ...ACTIVE, active: false }, 'token_inactive'],
    ['of another issuer', { ...ACTIVE, iss: 'https://other.example.com' }, 'token_issuer'],
    ['of an issuer that is no text', { ...ACTIVE, iss: null }, 'token_issuer'],
    ['expired', { ...ACTIVE, exp: START }, 'token_expired'],
    ['of the future', { ...ACTIVE, nbf: START + 6 }, 'token_not_yet_valid'],
    ['with an exp that is a text', { ...ACTIVE, exp: `${START + 300}` }, 'token_claims', 'exp is not a number'],
    ['with an exp of null', { ...ACTIVE, exp: null }, 'token_claims', 'exp is not a number'],
    ['with an nbf that is a text', { ...ACTIVE, nbf: '0' }, 'token_claims', 'nbf is not a number'],
    ['bound to a DPoP key', { ...ACTIVE, cnf: { jkt: 'x' } }, 'token_sender_constrained'],
    ['bound to a certificate', { ...ACTIVE, cnf: { 'x5t#S256': 'x' } }, 'token_sender_constrained'],
    ['bound to who knows what', { ...ACTIVE, cnf: {} }, 'token_sender_constrained'],
    ['of type DPoP', { ...ACTIVE, token_type: 'DPoP' }, 'token_sender_constrained'],
    ['of another type', { ...ACTIVE, token_type: 'mac' }, 'token_type'],
    ['of no type that can be read', { ...ACTIVE, token_type: 7 }, 'token_type'],
    ['a refresh token', { ...ACTIVE, token_use: 'refresh_token' }, 'token_type'],
    [
      'without a subject',
      { ...ACTIVE, sub: undefined, username: 'alice', client_id: 'app' },
      'token_claims',
      'sub is no usable subject',
    ],
    ['with an empty subject', { ...ACTIVE, sub: '' }, 'token_claims', 'sub is no usable subject'],
    ['with a subject that is a number', { ...ACTIVE, sub: 7 }, 'token_claims', 'sub is no usable subject'],
    [
      'with an audience that is an object',
      { ...ACTIVE, aud: {} },
      'token_claims',
      'aud is neither a string nor a list of strings',
    ],
  ];
  for (const [what, answer, reason, detail] of table) {
    test(what, async () => {
      server.answer = () => answer;
      assert.deepEqual(await kit().present('t'), rejected(reason, detail === undefined ? {} : { detail }));
    });
  }

  test('a clock that is a little behind the issuer’s does no harm', async () => {
    server.answer = () => ({ ...ACTIVE, nbf: START + 5 });
    userOf(await kit().present('t'));
  });
});

describe('what is remembered', { timeout: 20_000 }, () => {
  test('a good answer for cacheTtl, answered at once', async () => {
    server.answer = () => ACTIVE;
    const { present, presentNow, tools } = kit({ cacheTtl: '30s' });
    await present('t');
    tools.time.nowMs += 29_999;
    assert.equal(userOf(presentNow('t') as Outcome).subject, 'alice');
    assert.equal(server.calls.introspection, 1);
    server.answer = () => ({ active: false });
    tools.time.nowMs += 1;
    assert.deepEqual(await present('t'), rejected('token_inactive'));
    assert.equal(server.calls.introspection, 2);
    assert.equal(tools.metric('mcp_identity_token_cache_hits_total{method=opaque}'), 1);
    assert.equal(tools.metric('mcp_identity_token_cache_misses_total{method=opaque}'), 2);
  });

  test('never beyond exp, even where the issuer still says active', async () => {
    server.answer = () => ({ ...ACTIVE, exp: START + 10 });
    const { present, presentNow, tools } = kit({ cacheTtl: '30s' });
    await present('t');
    tools.time.nowMs += 9_999;
    assert.equal(userOf(presentNow('t') as Outcome).expiresAt, START + 10);
    tools.time.nowMs += 1;
    assert.deepEqual(await present('t'), rejected('token_expired'));
    assert.equal(server.calls.introspection, 2);
  });

  test('an answer is as old as the question', async () => {
    server.answer = () => ACTIVE;
    const { present, tools } = kit({ cacheTtl: '30s' });
    const release = server.hold();
    const first = present('t');
    tools.time.nowMs += 20_000;
    release();
    userOf(await first);
    tools.time.nowMs += 10_000;
    assert.ok(await present('t'));
    assert.equal(server.calls.introspection, 2);
  });

  test('a token that expired while the issuer was asked is refused', async () => {
    server.answer = () => ({ ...ACTIVE, exp: START + 10 });
    const { present, tools } = kit();
    const release = server.hold();
    const first = present('t');
    tools.time.nowMs += 10_000;
    release();
    assert.deepEqual(await first, rejected('token_expired'));
  });

  test('a refused one for five seconds', async () => {
    const { present, presentNow, tools } = kit();
    await present('t');
    server.answer = () => ACTIVE;
    tools.time.nowMs += 4_999;
    assert.deepEqual(presentNow('t'), rejected('token_inactive'));
    tools.time.nowMs += 1;
    userOf(await present('t'));
    userOf(presentNow('t') as Outcome);
    assert.equal(server.calls.introspection, 2);
  });

  test('nothing after the clock was set back', async () => {
    server.answer = () => ACTIVE;
    const { present, tools } = kit();
    await present('t');
    tools.time.nowMs -= 1;
    await present('t');
    assert.equal(server.calls.introspection, 2);
  });

  test('no older answer once there is a newer one, wherever the clock goes', async () => {
    server.answer = () => ACTIVE;
    const { present, tools } = kit();
    await present('t');
    server.answer = () => ({ active: false });
    tools.time.nowMs -= 10_000;
    assert.deepEqual(await present('t'), rejected('token_inactive'));
    tools.time.nowMs += 11_000;
    assert.deepEqual(await present('t'), rejected('token_inactive'));
  });

  test('nothing with a cacheTtl of 0', async () => {
    server.answer = () => ACTIVE;
    const { present } = kit({ cacheTtl: '0s' });
    await present('t');
    await present('t');
    assert.equal(server.calls.introspection, 2);
  });

  test('the whole token counts', async () => {
    const long = 'a'.repeat(5_000);
    server.answer = (token) => (token === `${long}x` ? ACTIVE : { active: false });
    const { present } = kit();
    userOf(await present(`${long}x`));
    assert.deepEqual(await present(`${long}y`), rejected('token_inactive'));
    assert.deepEqual(await present(long), rejected('token_inactive'));
  });

  test('made-up tokens push out none that is in use', async () => {
    server.answer = (token) => (token === 'good' ? ACTIVE : { active: false });
    const { present, presentNow, tools } = kit();
    await present('good');
    const bytes = tools.metric('mcp_identity_introspection_cache_bytes{method=opaque}');
    assert.ok(bytes > 1_024 && bytes < 2_048, String(bytes));
    await Promise.all(Array.from({ length: 200 }, (_, i) => present(`bad${i}`)));
    assert.equal(tools.metric('mcp_identity_introspection_cache_bytes{method=opaque}'), bytes);
    userOf(presentNow('good') as Outcome);
  });
});

describe('many at once', { timeout: 20_000 }, () => {
  test('of one token are one question', async () => {
    server.answer = () => ACTIVE;
    const { present } = kit();
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => present('t')));
    assert.equal(new Set(outcomes.map((outcome) => userOf(outcome))).size, 1);
    assert.equal(server.calls.introspection, 1);
  });

  test('of different tokens are never mixed', async () => {
    server.answer = (token) => ({ ...ACTIVE, sub: `user of ${token}` });
    const { present } = kit();
    const subjects = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => userOf(await present(`t${i % 10}`)).subject),
    );
    subjects.forEach((subject, i) => assert.equal(subject, `user of t${i % 10}`));
    assert.equal(server.calls.introspection, 10);
  });

  test('one who hangs up does not stop it for the others', async () => {
    server.answer = () => ACTIVE;
    const { present } = kit();
    const release = server.hold();
    const caller = new AbortController();
    const first = present('t', caller.signal);
    const second = present('t');
    caller.abort(new Error('gone'));
    await assert.rejects(first, { message: 'gone' });
    release();
    userOf(await second);
    assert.equal(server.calls.introspection, 1);
  });
});

describe('an endpoint that gives no answer', { timeout: 20_000 }, () => {
  const table: readonly [what: string, answer: object | number | string, error: RegExp][] = [
    ['500', 500, /^answered with status 500$/],
    ['503', 503, /^answered with status 503$/],
    ['401', 401, /^answered with status 401$/],
    ['404', 404, /^answered with status 404$/],
    ['a redirect', 302, /answered with a redirect \(302\)$/],
    ['204', 204, /^answered with status 204$/],
    ['no JSON', '<html>', /JSON/],
    ['a list', '[]', /must be a top level object/],
    ['no active', { sub: 'alice' }, /"active" property must be a boolean/],
    ['active as a text', { ...ACTIVE, active: 'true' }, /"active" property must be a boolean/],
    ['nothing', 'hang', /took longer than 1000 ms$/],
  ];
  for (const [what, answer, error] of table) {
    test(`${what} is never a pass, and never remembered`, async () => {
      server.answer = () => answer;
      const { present, tools } = kit();
      assert.deepEqual(await present('s3cr3t-t0ken'), UNAVAILABLE);
      const [line] = tools.lines.filter(({ level }) => level === 'warn');
      assert.match(String(line?.fields?.['error']), error);
      assert.doesNotMatch(JSON.stringify(tools.lines), /t0ken|s3cret/);
      server.answer = () => ACTIVE;
      userOf(await present('s3cr3t-t0ken'));
    });
  }

  test('invalid_client is our misconfiguration, not the caller’s fault', async () => {
    for (const challenge of [undefined, 'Basic realm="idp"']) {
      server.challenge = challenge;
      server.answer = () => ({ error: 'invalid_client', error_description: 'the secret s3cret is wrong' });
      const { present, tools } = kit();
      assert.deepEqual(await present('t'), UNAVAILABLE);
      assert.equal(
        tools.lines.find(({ level }) => level === 'warn')?.fields?.['error'],
        challenge ? 'answered with status 401 and a challenge' : 'answered with status 401 and invalid_client',
      );
    }
  });

  test('what was remembered goes on while the endpoint is down', async () => {
    server.answer = () => ACTIVE;
    const { present, presentNow, tools } = kit({ cacheTtl: '5m' });
    await present('t');
    await server.stop();
    tools.time.nowMs += 200_000;
    userOf(presentNow('t') as Outcome);
    assert.deepEqual(await present('other'), UNAVAILABLE);
    tools.time.nowMs += 100_000;
    assert.deepEqual(await present('t'), UNAVAILABLE);
    server = await new FakeServer().start();
  });

  test('is told once in ten seconds', async () => {
    server.answer = () => 500;
    const { present, tools } = kit();
    const warnings = () => tools.lines.filter(({ level }) => level === 'warn').length;
    for (let i = 0; i < 5; i++) await present(`t${i}`);
    assert.equal(warnings(), 1);
    tools.time.nowMs += 10_000;
    await present('t');
    assert.equal(warnings(), 2);
  });
});

describe('an endpoint that is found at the issuer', { timeout: 20_000 }, () => {
  const discovering = () => kit({ introspectionEndpoint: undefined });

  test('is looked for once', async () => {
    server.answer = () => ACTIVE;
    const { present, method } = discovering();
    await method.warm?.();
    await Promise.all(['a', 'b', 'c'].map((token) => present(token)));
    assert.deepEqual(server.calls, { discovery: 1, introspection: 3 });
  });

  test('is looked for once by all who need it at the same time', async () => {
    server.answer = () => ACTIVE;
    const { present } = discovering();
    await Promise.all(['a', 'b', 'c'].map((token) => present(token)));
    assert.deepEqual(server.calls, { discovery: 1, introspection: 3 });
  });

  test('is looked for again after a failure', async () => {
    server.answer = () => 500;
    const { present } = discovering();
    assert.deepEqual(await present('t'), UNAVAILABLE);
    server.answer = () => ACTIVE;
    userOf(await present('t'));
    assert.equal(server.calls.discovery, 2);
  });

  const table: readonly [what: string, metadata: (issuer: string) => object | number, error: RegExp][] = [
    ['no metadata', () => 404, /./],
    ['metadata without an endpoint', (issuer) => ({ issuer }), /names no introspection_endpoint$/],
    [
      'metadata of somebody else',
      () => ({ issuer: 'https://other.example.com', introspection_endpoint: 'x' }),
      /issuer/,
    ],
    [
      'an endpoint over plain http elsewhere',
      (issuer) => ({ issuer, introspection_endpoint: 'http://idp.example.com/introspect' }),
      /must be https/,
    ],
  ];
  for (const [what, metadata, error] of table) {
    test(`${what}: nobody passes`, async () => {
      server.metadata = () => metadata(server.issuer);
      server.answer = () => ACTIVE;
      const { present, method, tools } = discovering();
      await method.warm?.();
      assert.deepEqual(await present('t'), UNAVAILABLE);
      assert.match(String(tools.lines.find(({ level }) => level === 'warn')?.fields?.['error']), error);
      assert.equal(server.calls.introspection, 0);
    });
  }
});

test('the method says where it looks', () => {
  const { method } = kit({ audience: ['a', 'b'] });
  assert.deepEqual(
    [method.name, method.type, method.scheme, method.credentialHeaders, method.issuer, method.audience],
    ['opaque', 'introspection', 'bearer', [], server.issuer, ['a', 'b']],
  );
});
