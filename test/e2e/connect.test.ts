import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { startIdentityProvider } from '../../demo/identity-provider.ts';
import { startLegacyBackend } from '../../demo/mcp-legacy.ts';
import { startModernBackend } from '../../demo/mcp-modern.ts';
import type { Running } from '../../demo/web-server.ts';
import { openVault } from '../../src/upstream/vault/open.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { rpc, toolCall } from '../support/http.ts';
import { freePorts } from '../support/ports.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { connectLegacy } from '../support/sdk-clients.ts';
import { type AuditLine, type Stack, startStack } from '../support/stack.ts';
import { testTools, vaultConfig } from '../support/vault-tools.ts';
import { type Loaded, WebBrowser } from '../support/web-browser.ts';

const KEY_BYTES = randomBytes(32);
const SECRETS = ['github-secret', 'pages-secret'];

/** Real Envoy, a real OpenID provider for MCP clients and for these pages, official MCP clients, and as much of a browser as it takes. */
describe('connecting an account through a real Envoy', { timeout: 120_000 }, () => {
  let login: Running;
  let github: FakeProvider;
  let stack: Stack;
  let vault: Vault;
  const servers: Running[] = [];
  const tokens: string[] = [];

  const bearer = async (route: string, user: string): Promise<string> => {
    const answer = await fetch(`${login.url}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'urn:demo:grant:user',
        client_id: 'demo-cli',
        username: user,
        resource: `${stack.origin}/${route}/mcp`,
      }),
    });
    return `Bearer ${((await answer.json()) as { access_token: string }).access_token}`;
  };
  const key = (subject: string) => ({ issuer: login.url, subject, provider: 'github' });
  const linkFor = async (user: string): Promise<string> => {
    const headers = ['Authorization', await bearer('legacy', user)];
    const { status, body } = await rpc(`${stack.origin}/legacy/mcp`, toolCall('whoami'), headers);
    assert.equal(status, 200, body);
    return linkIn(body);
  };
  const linkIn = (text: string) => {
    const [link] = /http:\/\/127\.0\.0\.1:\d+\/connect\/github\?ticket=[\w-]+/.exec(text) ?? [];
    assert.ok(link, text);
    return link;
  };
  /** What a person does with a link; ends where somebody has to look. */
  const open = async (browser: WebBrowser, link: string, user: string): Promise<Loaded> => {
    const page = await browser.press(await browser.get(link), 'Sign in and connect');
    return browser.follow(await browser.press(await browser.follow(page), user));
  };
  const audited = (event: string): AuditLine[] => stack.audit().filter((line) => line.event === event);

  before(async () => {
    const [port] = (await freePorts(1)) as [number];
    const issuer = `http://127.0.0.1:${port}`;
    github = await startProvider();
    const onRequest = ({ authorization = '' }) => void tokens.push(authorization.replace('Bearer ', ''));
    servers.push(await startLegacyBackend({ port: 0, onRequest }));
    servers.push(await startModernBackend({ port: 0, onRequest }));
    let starting: Promise<Running> | undefined;
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer, jwksUri: `${issuer}/jwks` } },
        upstreamProviders: {
          github: { issuer: github.issuer, clientId: 'c', clientSecret: SECRETS[0], scopes: ['repo'] },
        },
        vault: { store: 'sqlite:./vault.db', keys: [{ id: 'k1', key: KEY_BYTES.toString('base64') }] },
        connect: {
          login: { issuer, clientId: 'pages', clientSecret: SECRETS[1] },
          cookieKeys: [randomBytes(32).toString('base64')],
        },
      },
      routes: (origin) => {
        // The redirect URI is registered there, and Envoy's port is known only now.
        starting = startIdentityProvider({
          port,
          clients: [
            {
              client_id: 'pages',
              client_secret: 'pages-secret',
              redirect_uris: [`${origin}/connect/login/callback`],
              grant_types: ['authorization_code'],
            },
          ],
        });
        return ['legacy', 'modern'].map((name, i) => ({
          prefix: `/${name}/mcp`,
          rewrite: '/mcp',
          port: Number(new URL(servers[i]?.url ?? '').port),
          policy: {
            backend: name,
            resource: `${origin}/${name}/mcp`,
            incomingAuth: ['corp'],
            outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'github' } },
          },
        }));
      },
    });
    login = await (starting as Promise<Running>);
    const config = vaultConfig(`sqlite:${join(stack.folder, 'vault.db')}`, [{ id: 'k1', bytes: KEY_BYTES }]);
    vault = await openVault(config, testTools());
  });
  after(async () => {
    await vault?.close();
    await stack?.stop();
    await Promise.all([...servers.map((server) => server.stop()), github?.stop(), login?.stop()]);
  });

  it('a client without elicitation: the link is in the answer of the tool; afterwards the same call works', async () => {
    const headers = async () => ({ authorization: await bearer('legacy', 'alice') });
    const client = await connectLegacy(`${stack.origin}/legacy/mcp`, { headers });
    const said = await client.call('whoami');
    assert.match(said, /Connect your github account first/);

    const browser = new WebBrowser();
    const done = await open(browser, linkIn(said), 'alice');
    assert.equal(done.heading, 'github is connected');
    assert.equal(done.url, `${stack.origin}/connect/-/done/github`);

    tokens.length = 0;
    assert.doesNotMatch(await client.call('whoami'), /Connect your github account/);
    assert.equal(github.userOf(tokens.at(-1) ?? ''), 'alice');
    await client.close();
    const connected = await stack.services[0]!.until(() => audited('connect').at(-1));
    const signedIn = audited('sign_in').at(-1);
    assert.equal(signedIn?.reason, 'signed_in');
    assert.deepEqual([connected.reason, connected.outcome], ['connected', 'allow']);
    assert.equal(connected['subject'], 'alice');
    assert.equal(connected['provider'], 'github');
    assert.match(String(connected['request_id']), /^[0-9a-f-]{36}$/);
  });

  it('disconnected on the accounts page: the next call has no account any more', async () => {
    const browser = new WebBrowser();
    const asked = await browser.press(await browser.get(`${stack.origin}/connect`), 'Sign in');
    const page = await browser.follow(await browser.press(await browser.follow(asked), 'alice'));
    assert.match(page.text, /github connected Connected since/);
    const grant = await vault.read(key('alice'));
    const gone = await browser.press(page, 'Disconnect', '/connect/github/disconnect');
    assert.equal(gone.heading, 'github is disconnected');
    assert.equal(await vault.read(key('alice')), undefined);
    assert.equal(github.userOf(grant?.accessToken.reveal() ?? ''), undefined, 'revoked at the provider');
    await linkFor('alice');
    const line = await stack.services[0]!.until(() => audited('disconnect').at(-1));
    assert.equal(line['detail'], 'revocation_revoked');
  });

  it('a client with URL elicitation (2026-07-28): it shows the page, and the call goes on by itself', async () => {
    const browser = new WebBrowser();
    const shown: string[] = [];
    const authorization = await bearer('modern', 'bob');
    const client = new Client(
      { name: 'test', version: '1' },
      { capabilities: { elicitation: { url: {} } }, versionNegotiation: { mode: { pin: '2026-07-28' } } },
    );
    client.setRequestHandler('elicitation/create', async ({ params }) => {
      assert.equal(params.mode, 'url');
      const { url } = params as { url: string };
      shown.push(url);
      assert.equal((await open(browser, url, 'bob')).heading, 'github is connected');
      return { action: 'accept' };
    });
    const transport = new StreamableHTTPClientTransport(new URL(`${stack.origin}/modern/mcp`), {
      requestInit: { headers: { authorization } },
    });
    await client.connect(transport);
    const result = await client.callTool({ name: 'echo', arguments: { text: 'it works' } });
    assert.deepEqual(result.content, [{ type: 'text', text: 'it works' }]);
    assert.equal(shown.length, 1);
    assert.equal(github.userOf(tokens.at(-1) ?? ''), 'alice', "the fake provider's default user, connected by bob");
    await client.close();
    assert.ok(await vault.read(key('bob')));
  });

  it('another person opens the link: refused and audited', async () => {
    const browser = new WebBrowser();
    const answer = await open(browser, await linkFor('alice'), 'bob');
    assert.equal(answer.status, 403);
    assert.equal(answer.heading, 'This link was made for somebody else');
    assert.equal(await vault.read(key('alice')), undefined);
    const line = await stack.services[0]!.until(() => audited('connect').find(({ reason }) => reason === 'other_user'));
    assert.deepEqual([line.outcome, line['subject']], ['deny', 'bob']);
  });

  it('what the client claims about our host is not believed', async () => {
    const browser = new WebBrowser();
    browser.headers = { 'x-forwarded-host': 'evil.example.com', 'x-forwarded-proto': 'https' };
    await open(browser, await linkFor('alice'), 'alice');
    const uris = browser.visited.flatMap((url) => new URL(url).searchParams.get('redirect_uri') ?? []);
    assert.deepEqual(new Set(uris.map((uri) => new URL(uri).origin)), new Set([stack.origin]));
  });

  it('the service restarts in the middle of the flow: nothing is forgotten, and a state is still good only once', async () => {
    const browser = new WebBrowser();
    const asked = await browser.press(await browser.get(`${stack.origin}/connect`), 'Sign in');
    const page = await browser.follow(await browser.press(await browser.follow(asked), 'alice'));
    const connecting = await browser.press(page, 'Connect again');
    const answer = await browser.follow(connecting, (url) => url.includes('/connect/callback/'));
    const callback = new URL(answer.headers.location ?? '', answer.url).href;
    await stack.services[0]?.stop();
    await stack.restartService();
    assert.equal((await browser.follow(await retried(() => browser.get(callback)))).heading, 'github is connected');
    await stack.services[0]?.stop('SIGKILL');
    await stack.restartService();
    const replayed = await retried(() => browser.get(callback));
    assert.equal(replayed.heading, 'This step is already done');
  });

  it('no token, code, state or secret stands in the log, the audit, the metrics or the vault file', async () => {
    const grant = await vault.read(key('alice'));
    const codes = github.tokenRequests().map(({ params }) => params.get('code') ?? params.get('refresh_token'));
    const written = [
      ...stack.services.map((service) => service.stdout + service.stderr),
      await stack.metrics(),
      readFileSync(join(stack.folder, 'vault.db'), 'latin1'),
    ].join('\n');
    for (const secret of [...SECRETS, ...codes, grant?.accessToken.reveal(), grant?.refreshToken?.reveal()]) {
      assert.ok(secret);
      assert.equal(written.includes(secret), false);
    }
    assert.doesNotMatch(written, /state=[^"]|ticket=|code_verifier/);
    assert.match(written, /mcp_identity_connect_steps_total\{event="connect",outcome="deny",reason="state_used"\} 1/);
  });
});

/** Envoy notices a new process within a moment. */
async function retried(load: () => Promise<Loaded>): Promise<Loaded> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const answer = await load();
    // Ours have a heading; what Envoy says has none.
    if (answer.heading !== '' || answer.status === 303 || Date.now() > deadline) return answer;
  }
}
