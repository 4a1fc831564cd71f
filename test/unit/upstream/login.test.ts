import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { createEgress } from '../../../src/net/egress.ts';
import { createLogin } from '../../../src/upstream/login.ts';
import { type FakeIssuer, startIssuer } from '../../support/issuer.ts';
import { bounded, testTools } from '../authn/support.ts';
import { loginConfig } from '../http/connect-site.ts';

const REDIRECT = 'https://mcp.example.com/connect/login/callback';
const BEGUN = { redirectUri: REDIRECT, state: 'st4te', codeVerifier: 'v'.repeat(43), nonce: 'n0nce' };

/** What the token endpoint answers with; `id_token` is added unless it stands there. */
interface Script {
  status?: number;
  headers?: Record<string, string>;
  body?: Record<string, unknown> | string;
}

async function world(t: TestContext, fields: Record<string, unknown> = {}) {
  const issuer = await startIssuer({ audience: 'pages' });
  const received: { headers: IncomingMessage['headers']; params: URLSearchParams }[] = [];
  let script: () => Promise<Script> = async () => ({});
  const endpoint = createServer((request, response) => {
    void text(request).then(async (body) => {
      received.push({ headers: request.headers, params: new URLSearchParams(body) });
      const { status = 200, headers = {}, body: answer = {} } = await script();
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    endpoint.close();
    endpoint.closeAllConnections();
    await issuer.stop();
  });
  const origin = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}`;
  issuer.metadata = {
    authorization_endpoint: `${issuer.issuer}/authorize`,
    token_endpoint: `${origin}/token`,
    authorization_response_iss_parameter_supported: true,
    id_token_signing_alg_values_supported: ['RS256', 'ES256'],
  };
  const tools = testTools(Date.now());
  const egress = createEgress({ log: tools.log, metrics: tools.metrics, timeoutMs: 500 });
  const login = createLogin(loginConfig({ issuer: issuer.issuer, ...fields }), tools, egress);
  const params = (more: Record<string, string> = {}) =>
    new URLSearchParams({ code: 'c0de', state: BEGUN.state, iss: issuer.issuer, ...more });
  const finish = (query = params()) => login.finish({ ...BEGUN, params: query }, bounded());
  /** The token endpoint answers with this ID token. */
  const giving = (idToken: Promise<string> | string | undefined, more: Record<string, unknown> = {}) => {
    script = async () => {
      const id_token = await idToken;
      return { body: { access_token: 'at', token_type: 'Bearer', ...(id_token && { id_token }), ...more } };
    };
    return finish();
  };
  const answering = (next: Script) => {
    script = async () => next;
    return finish();
  };
  return { issuer, login, received, params, finish, giving, answering, tools };
}

const ID = { typ: 'JWT' } as const;
const idToken = (issuer: FakeIssuer, claims: Record<string, unknown> = {}, options = {}) =>
  issuer.token({ nonce: BEGUN.nonce, ...claims }, { ...ID, ...options });

test('where the browser is sent', async (t) => {
  const { login, issuer } = await world(t, { scopes: ['profile'] });
  const asked = await login.authorizationUrl({ ...BEGUN, again: false }, bounded());
  assert.equal(asked.kind, 'url');
  const url = new URL(asked.url);
  assert.equal(`${url.origin}${url.pathname}`, `${issuer.issuer}/authorize`);
  const { code_challenge, ...rest } = Object.fromEntries(url.searchParams);
  assert.match(code_challenge ?? '', /^[\w-]{43}$/);
  assert.deepEqual(rest, {
    response_type: 'code',
    client_id: 'pages',
    redirect_uri: REDIRECT,
    scope: 'openid profile',
    state: BEGUN.state,
    nonce: BEGUN.nonce,
    code_challenge_method: 'S256',
  });
  const again = await login.authorizationUrl({ ...BEGUN, again: true }, bounded());
  assert.equal(again.kind === 'url' && new URL(again.url).searchParams.get('prompt'), 'login');
});

test('a person is who the verified ID token names', async (t) => {
  const { giving, issuer, received } = await world(t);
  assert.deepEqual(await giving(idToken(issuer, { email: 'alice@example.com' })), {
    kind: 'signed_in',
    person: { issuer: issuer.issuer, subject: 'alice', label: 'alice@example.com' },
  });
  const [{ headers, params } = assert.fail('nothing arrived')] = received;
  assert.equal(headers.authorization, `Basic ${Buffer.from('pages:pages-secret').toString('base64')}`);
  assert.deepEqual(Object.fromEntries(params), {
    grant_type: 'authorization_code',
    code: 'c0de',
    redirect_uri: REDIRECT,
    code_verifier: BEGUN.codeVerifier,
  });
  assert.equal((await giving(idToken(issuer, {}, { alg: 'ES256' }))).kind, 'signed_in');
});

test('the label is what people know, and no identity', async (t) => {
  const { giving, issuer } = await world(t);
  const label = async (claims: Record<string, unknown>) => {
    const outcome = await giving(idToken(issuer, claims));
    return outcome.kind === 'signed_in' && [outcome.person.subject, outcome.person.label];
  };
  assert.deepEqual(await label({ preferred_username: 'al', email: 'a@x', name: 'Alice' }), ['alice', 'al']);
  assert.deepEqual(await label({ preferred_username: ' ', email: 7, name: 'Alice' }), ['alice', 'Alice']);
  assert.deepEqual(await label({}), ['alice', 'alice']);
  assert.deepEqual(await label({ name: 'x'.repeat(200) }), ['alice', `${'x'.repeat(80)}…`]);
});

test('subjectClaim names the claim; what is no usable text is nobody', async (t) => {
  const { giving, issuer } = await world(t, { subjectClaim: 'ids.oid' });
  const signedIn = await giving(idToken(issuer, { ids: { oid: 'o-1' } }));
  assert.deepEqual(signedIn.kind === 'signed_in' && signedIn.person.subject, 'o-1');
  for (const ids of [
    undefined,
    {},
    { oid: '' },
    { oid: 7 },
    { oid: ['o-1'] },
    { oid: 'x'.repeat(1025) },
    { oid: '\ud800' },
  ])
    assert.deepEqual(await giving(idToken(issuer, { ids })), { kind: 'failed', fault: 'malformed' });
});

test('ID tokens that prove nothing', async (t) => {
  const { giving, issuer } = await world(t);
  const now = Math.floor(Date.now() / 1_000);
  const claims = { nonce: BEGUN.nonce };
  const cases: Record<string, Promise<string> | string | undefined> = {
    missing: undefined,
    'no JWT': 'x.y.z',
    'signed by somebody else': issuer.forged(claims, ID),
    unsecured: issuer.unsecured(claims),
    'HS256 with the public key': issuer.confused(claims),
    'an algorithm the issuer does not announce': idToken(issuer, {}, { alg: 'EdDSA' }),
    'an unknown key': idToken(issuer, {}, { kid: 'other' }),
    'another issuer': idToken(issuer, { iss: 'https://evil.example.com' }),
    'another audience': idToken(issuer, { aud: 'somebody' }),
    'another authorized party': idToken(issuer, { aud: ['pages', 'other'], azp: 'other' }),
    'no nonce': idToken(issuer, { nonce: undefined }),
    'another nonce': idToken(issuer, { nonce: 'another' }),
    expired: idToken(issuer, { exp: now - 60 }),
    'without exp': idToken(issuer, { exp: undefined }),
    'without iat': idToken(issuer, { iat: undefined }),
    'without sub': idToken(issuer, { sub: undefined }),
  };
  for (const [name, token] of Object.entries(cases)) {
    const outcome = await giving(token);
    assert.deepEqual(outcome, { kind: 'failed', fault: 'malformed' }, name);
  }
});

test('keys that the issuer changes are known at once', async (t) => {
  const { giving, issuer } = await world(t);
  assert.equal((await giving(idToken(issuer))).kind, 'signed_in');
  const old = idToken(issuer);
  await old;
  await issuer.rotate();
  assert.equal((await giving(idToken(issuer))).kind, 'signed_in');
  assert.deepEqual(await giving(old), { kind: 'failed', fault: 'malformed' });
  assert.equal(issuer.requests.discovery, 1);
});

test('callbacks that do not belong to the request', async (t) => {
  const { finish, params, received } = await world(t);
  const without = (name: string) => {
    const query = params();
    query.delete(name);
    return query;
  };
  const repeated = params();
  repeated.append('code', 'other');
  const cases: [URLSearchParams, string][] = [
    [params({ iss: 'https://evil.example.com' }), 'callback_invalid'],
    [without('iss'), 'callback_invalid'],
    [params({ state: 'other' }), 'callback_invalid'],
    [without('state'), 'callback_invalid'],
    [params({ id_token: 'x' }), 'callback_invalid'],
  ];
  for (const [query, fault] of cases) assert.deepEqual(await finish(query), { kind: 'failed', fault }, String(query));
  for (const query of [repeated, without('code')]) assert.equal((await finish(query)).kind, 'failed');
  assert.equal(received.length, 0, 'no code was sent anywhere');
});

test('what the issuer refuses', async (t) => {
  const { finish, params, answering } = await world(t);
  assert.deepEqual(await finish(params({ error: 'access_denied' })), { kind: 'denied', error: 'access_denied' });
  assert.deepEqual(await finish(params({ error: 'made up' })), { kind: 'denied', error: 'access_denied' });
  assert.deepEqual(await finish(params({ error: 'server_error' })), {
    kind: 'failed',
    fault: 'server_error',
    error: 'server_error',
  });
  const bad = (status: number, error: string) => answering({ status, body: { error, error_description: 'secret' } });
  assert.deepEqual(await bad(400, 'invalid_grant'), { kind: 'failed', fault: 'code_rejected', error: 'invalid_grant' });
  assert.deepEqual(await bad(400, 'invalid_client'), {
    kind: 'failed',
    fault: 'client_rejected',
    error: 'invalid_client',
  });
  assert.deepEqual(await bad(401, 'invalid_client'), { kind: 'failed', fault: 'client_rejected' });
  const challenge = { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' }, body: 'no' };
  assert.deepEqual(await answering(challenge), { kind: 'failed', fault: 'client_rejected' });
  assert.deepEqual(await answering({ status: 503 }), { kind: 'failed', fault: 'server_error' });
  assert.deepEqual(await answering({ body: 'no JSON' }), { kind: 'failed', fault: 'malformed' });
  assert.deepEqual(await answering({ status: 302, headers: { location: '/' } }), {
    kind: 'failed',
    fault: 'malformed',
  });
});

test('an issuer that is away or hangs', async (t) => {
  const { login, issuer, finish } = await world(t);
  issuer.trouble = 'hang';
  const asked = await login.authorizationUrl({ ...BEGUN, again: false }, bounded());
  assert.deepEqual(asked, { kind: 'failed', fault: 'timeout' });
  issuer.trouble = undefined;
  assert.equal((await finish()).kind, 'failed', 'it is not asked again at once');
});

test('a session knows the configuration that made it', async (t) => {
  const { login, issuer } = await world(t, { subjectClaim: 'oid' });
  assert.deepEqual(login.fingerprint, [issuer.issuer, 'pages', 'oid']);
});
