import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startLegacyBackend } from '../../demo/mcp-legacy.ts';
import { startModernBackend } from '../../demo/mcp-modern.ts';
import type { Running } from '../../demo/web-server.ts';
import { openVault } from '../../src/upstream/vault/open.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { type Connect, connectLegacy, connectModern } from '../support/sdk-clients.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { testTools, vaultConfig } from '../support/vault-tools.ts';

const KEY_BYTES = randomBytes(32);

interface SeenCall {
  readonly route: 'legacy' | 'modern';
  readonly user: string | undefined;
  readonly token: string;
  readonly headers: IncomingHttpHeaders;
}

/** Real Envoy, real token validation, two providers with short-lived tokens, MCP servers and clients of both eras. */
describe('upstream_inject through a real Envoy', { timeout: 120_000 }, () => {
  let issuer: FakeIssuer;
  let github: FakeProvider;
  let jira: FakeProvider;
  let stack: Stack;
  let vault: Vault;
  const servers: Running[] = [];
  const seen: SeenCall[] = [];

  const bearer = async (path: string, sub: string, seconds = 60) => {
    const now = Math.floor(Date.now() / 1_000);
    return `Bearer ${await issuer.token({ aud: `${stack.origin}${path}`, sub, iat: now, exp: now + seconds })}`;
  };
  const call = async (path: string, sub: string) =>
    rpc(`${stack.origin}${path}`, toolCall('x'), ['Authorization', await bearer(path, sub)]);
  const connect = (provider: 'github' | 'jira', subject: string, options: Parameters<FakeProvider['issue']>[1] = {}) =>
    vault.create(
      { issuer: issuer.issuer, subject, provider },
      (provider === 'github' ? github : jira).issue(subject, options),
    );
  const tokenOf = (headers: IncomingHttpHeaders) => /^Bearer (.*)$/.exec(headers.authorization ?? '')?.[1] ?? '';

  before(async () => {
    issuer = await startIssuer();
    github = await startProvider();
    jira = await startProvider();
    const watch = (route: SeenCall['route']) => (headers: IncomingHttpHeaders) => {
      const token = tokenOf(headers);
      seen.push({ route, token, user: github.userOf(token), headers });
    };
    servers.push(await startLegacyBackend({ port: 0, onRequest: watch('legacy') }));
    servers.push(await startModernBackend({ port: 0, onRequest: watch('modern') }));
    const client = (provider: FakeProvider) => ({
      issuer: provider.issuer,
      clientId: 'c',
      clientSecret: 's3cret-of-client',
      scopes: [],
    });
    const route = (origin: string, name: string, providerName: string, more: object = {}) => ({
      prefix: `/${name}/mcp`,
      rewrite: '/mcp',
      ...more,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: name === 'open' ? ['corp', 'guest'] : ['corp'],
        outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName } },
      },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer, clockSkew: '0s' }, guest: { type: 'anonymous' } },
        upstreamProviders: { github: client(github), jira: client(jira) },
        vault: { store: 'sqlite:./vault.db', keys: [{ id: 'k1', key: KEY_BYTES.toString('base64') }] },
        connect: {
          login: { issuer: issuer.issuer, clientId: 'login', clientSecret: 'x' },
          cookieKeys: [randomBytes(32).toString('base64')],
        },
      },
      routes: (origin) => [
        route(origin, 'legacy', 'github', { port: Number(new URL(servers[0]!.url).port) }),
        route(origin, 'modern', 'github', { port: Number(new URL(servers[1]!.url).port) }),
        route(origin, 'plain', 'github'),
        route(origin, 'open', 'github'),
        route(origin, 'jira', 'jira'),
      ],
    });
    vault = await openVault(
      vaultConfig(`sqlite:${join(stack.folder, 'vault.db')}`, [{ id: 'k1', bytes: KEY_BYTES }]),
      testTools(),
    );
  });
  afterEach(() => {
    for (const provider of [github, jira]) provider.trouble = undefined;
  });
  after(async () => {
    await vault?.close();
    await stack?.stop();
    await Promise.all([...servers.map((server) => server.stop()), github?.stop(), jira?.stop(), issuer?.stop()]);
  });

  it('20 seconds of calls, 3-second tokens, two users, both eras of clients, callers with ever new tokens: none fails (R15)', async () => {
    github.lifetimeSeconds = 3;
    await connect('github', 'alice');
    await connect('github', 'bob');
    seen.length = 0;
    const untilMs = Date.now() + 20_000;
    const work = async (sub: string, connectClient: Connect, path: string): Promise<number> => {
      let authorization = await bearer(path, sub, 4);
      let renewMs = Date.now() + 2_000;
      const client = await connectClient(`${stack.origin}${path}`, {
        headers: async () => {
          // The caller's own token lives for four seconds and is renewed after two.
          if (Date.now() > renewMs) [authorization, renewMs] = [await bearer(path, sub, 4), Date.now() + 2_000];
          return { authorization, 'x-trace-id': undefined };
        },
      });
      let calls = 0;
      for (; Date.now() < untilMs; calls++) {
        assert.match(await client.call('whoami'), /./);
        await delay(20);
      }
      // 2025-11-25: a server without a stream of its own answers GET with 405; that is no failure.
      assert.deepEqual(
        client.statuses.filter((status) => status >= 400 && status !== 405),
        [],
      );
      await client.close();
      return calls;
    };
    const modern = connectModern({ pin: '2026-07-28' });
    const calls = await Promise.all([
      work('alice', connectLegacy, '/legacy/mcp'),
      work('bob', connectLegacy, '/legacy/mcp'),
      work('alice', modern, '/modern/mcp'),
      work('bob', modern, '/modern/mcp'),
    ]);
    assert.ok(
      calls.every((count) => count > 100),
      calls.join(),
    );

    assert.ok(seen.length >= calls.reduce((a, b) => a + b), 'each call reached its backend');
    const wrong = seen.filter(({ user }) => user !== 'alice' && user !== 'bob');
    assert.deepEqual(wrong, [], 'every call carried a token that was valid at that moment');
    for (const user of ['alice', 'bob']) {
      const tokens = new Set(seen.filter((one) => one.user === user).map(({ token }) => token));
      const refreshes = github.refreshes.filter((one) => one === user).length;
      assert.ok(tokens.size >= 7 && tokens.size <= 12, `${user}: ${tokens.size} tokens`);
      assert.ok(refreshes >= 6 && refreshes <= 11, `${user}: ${refreshes} refreshes`);
    }
    assert.equal(github.reused, 0);
  });

  it('two users, interleaved: each call carries its own user’s token', async () => {
    github.lifetimeSeconds = 300;
    await connect('github', 'carol', { ageSeconds: 301 });
    await connect('github', 'dave', { ageSeconds: 301 });
    const users = Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? 'carol' : 'dave'));
    stack.backend.respond = (request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({ jsonrpc: '2.0', id: 1, result: { user: github.userOf(tokenOf(request.headers)) } }),
      );
    };
    const answers = await Promise.all(users.map((sub) => call('/plain/mcp', sub)));
    assert.deepEqual(
      answers.map((answer) => answer.json().result.user),
      users,
    );
  });

  it('anonymous callers are asked to sign in, and no token is looked for', async () => {
    const before = stack.backend.seen.length;
    const answer = await rpc(`${stack.origin}/open/mcp`, toolCall('x'));
    assert.equal(answer.status, 401);
    assert.ok(!answer.headers['www-authenticate']?.includes('error='));
    assert.equal(stack.backend.seen.length, before);
  });

  it('a user without an account: the call does not reach the backend; opening requests go without any credential', async () => {
    const before = stack.backend.seen.length;
    const answer = await call('/plain/mcp', 'nobody');
    assert.ok(answer.status === 403 || answer.json().result?.isError === true, answer.body);
    assert.equal(stack.backend.seen.length, before);
    const authorization = await bearer('/plain/mcp', 'nobody');
    const listed = await rpc(`${stack.origin}/plain/mcp`, { jsonrpc: '2.0', id: 2, method: 'tools/list' }, [
      'Authorization',
      authorization,
    ]);
    assert.equal(listed.status, 200, listed.body);
    assert.equal(stack.backend.last().headers['authorization'], undefined);
  });

  it('one provider is down: its calls get 503 with Retry-After, those of another provider go on, all recovers by itself (R18)', async () => {
    await connect('github', 'erin', { lifetimeSeconds: 300, ageSeconds: 301 });
    await connect('jira', 'erin', { lifetimeSeconds: 300, ageSeconds: 301 });
    github.trouble = { status: 500 };
    const before = stack.backend.seen.length;
    const denied = await call('/plain/mcp', 'erin');
    assert.equal(denied.status, 503, denied.body);
    assert.ok(Number(denied.headers['retry-after']) >= 1);
    assert.equal(stack.backend.seen.length, before);
    const answer = await call('/jira/mcp', 'erin');
    assert.equal(answer.status, 200, answer.body);
    assert.equal(jira.userOf(tokenOf(stack.backend.last().headers)), 'erin');
    const line = await stack.services[0]!.until(() =>
      stack
        .audit()
        .findLast(({ reason, ['subject']: subject }) => reason === 'upstream_unavailable' && subject === 'erin'),
    );
    assert.deepEqual([line.outcome, line['detail'], line['subject']], ['error', 'server_error', 'erin']);

    github.trouble = undefined;
    let again = denied;
    for (
      const end = Date.now() + 10_000;
      again.status === 503 && Date.now() < end;
      again = await call('/plain/mcp', 'erin')
    )
      await delay(Number(again.headers['retry-after']) * 1_000);
    assert.equal(again.status, 200, again.body);
    assert.equal(github.userOf(tokenOf(stack.backend.last().headers)), 'erin');
  });

  it('the backend refuses the token: 502, and the next call carries a new one', async () => {
    await connect('github', 'frank', { lifetimeSeconds: 3_600 });
    const refused = new Set<string>();
    stack.backend.respond = (request, response) => {
      const bad = refused.has(tokenOf(request.headers));
      response.writeHead(bad ? 401 : 200, {
        'content-type': 'application/json',
        ...(bad ? { 'www-authenticate': 'Bearer realm="theirs"' } : {}),
      });
      response.end('{"jsonrpc":"2.0","id":1,"result":{}}');
    };
    assert.equal((await call('/plain/mcp', 'frank')).status, 200);
    const first = tokenOf(stack.backend.last().headers);
    refused.add(first);
    const answer = await call('/plain/mcp', 'frank');
    assert.equal(answer.status, 502, answer.body);
    assert.equal(answer.headers['www-authenticate'], undefined);
    const next = await call('/plain/mcp', 'frank');
    assert.equal(next.status, 200, next.body);
    const second = tokenOf(stack.backend.last().headers);
    assert.notEqual(second, first);
    assert.equal(github.userOf(second), 'frank');
  });

  it('disconnected elsewhere: gone within seconds', async () => {
    await connect('github', 'grace', { lifetimeSeconds: 3_600 });
    assert.equal((await call('/plain/mcp', 'grace')).status, 200);
    await vault.delete({ issuer: issuer.issuer, subject: 'grace', provider: 'github' });
    await delay(5_100);
    const before = stack.backend.seen.length;
    await call('/plain/mcp', 'grace');
    assert.equal(stack.backend.seen.length, before);
  });

  it('no token stands in the log, the audit, the metrics or the vault file; refreshes are audited and counted', async () => {
    const output = stack.services.map((service) => service.stdout + service.stderr).join('\n');
    const database = ['vault.db', 'vault.db-wal']
      .map((name) => readFileSync(join(stack.folder, name)).toString('latin1'))
      .join('\n');
    for (const [place, text] of Object.entries({ output, database, metrics: await stack.metrics() })) {
      assert.doesNotMatch(text, /\b(at|rt)\.(alice|bob|carol|dave|erin|frank|grace|heidi)\./, place);
      assert.ok(!text.includes('s3cret-of-client'), place);
      if (place !== 'output') assert.doesNotMatch(text, /alice|carol/, place);
    }
    const line = await stack.services[0]!.until(() =>
      stack.audit().find(({ event, ['subject']: subject }) => event === 'refresh' && subject === 'carol'),
    );
    const { time, duration_ms, ...rest } = line;
    assert.ok(time && typeof duration_ms === 'number');
    assert.deepEqual(rest, {
      event: 'refresh',
      outcome: 'allow',
      reason: 'ok',
      issuer: issuer.issuer,
      subject: 'carol',
      provider: 'github',
    });
    assert.match(await stack.metrics(), /mcp_identity_upstream_cached_grants \d+/);
    assert.equal((await send(`${stack.adminUrl}/readyz`)).status, 200);
  });

  it('SIGTERM while a refresh is under way: it is finished and stored, the process ends with 0', async () => {
    await connect('github', 'heidi', { lifetimeSeconds: 300, ageSeconds: 301 });
    const release = github.hold('after');
    const acted = github.refreshes.length;
    const waiting = call('/plain/mcp', 'heidi');
    while (github.refreshes.length === acted) await delay(5);
    const service = stack.services[0]!;
    service.process.kill('SIGTERM');
    await service.until(() => service.stderr.includes('draining'));
    release();
    await waiting; // Envoy may find nobody to open its ext_proc stream with any more
    assert.equal(await service.exited, 0);
    const stored = await vault.read({ issuer: issuer.issuer, subject: 'heidi', provider: 'github' });
    assert.equal(github.userOf(stored?.accessToken.reveal() ?? ''), 'heidi');
  });
});
