import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connectPagesClient } from '../../demo/account-clients.ts';
import { startIdentityProvider } from '../../demo/identity-provider.ts';
import { startLegacyBackend } from '../../demo/mcp-legacy.ts';
import type { Running } from '../../demo/web-server.ts';
import { openVault } from '../../src/upstream/vault/open.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { freePorts } from '../support/ports.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { DURABLE, type RedisServer, startRedis } from '../support/redis.ts';
import { connectLegacy } from '../support/sdk-clients.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { testTools, vaultConfig } from '../support/vault-tools.ts';
import { WebBrowser } from '../support/web-browser.ts';

const KEY_BYTES = randomBytes(32);
const KEY = KEY_BYTES.toString('base64');
const CLIENT_SECRETS = ['secret-of-the-client-at-github', 'secret-of-the-connect-pages'] as const;
const CAPTURED = 'value-that-a-client-sent-once';

/** One account, from the link over calls and refreshes to the end; then everything that was written down meanwhile. */
describe('what anybody can read afterwards', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'readable-'));
  const metadataLog = join(folder, 'metadata.log');
  const browser = new WebBrowser();
  const tokens = new Set<string>();
  let redis: RedisServer;
  let github: FakeProvider;
  let idp: Running;
  let backend: Running;
  let stack: Stack;
  let vault: Vault;
  let callerToken: string;
  let link: string;
  /** What was written, by place; complete when `before` has ended. */
  const written = new Map<string, string>();
  let secrets: string[];

  before(async () => {
    redis = await startRedis({ settings: { ...DURABLE, rdbcompression: 'no' } });
    github = await startProvider({ lifetimeSeconds: 2 });
    const onRequest = ({ authorization = '' }) => void tokens.add(authorization.replace('Bearer ', ''));
    backend = await startLegacyBackend({ port: 0, onRequest });
    const [port] = (await freePorts(1)) as [number];
    const issuer = `http://127.0.0.1:${port}`;
    let starting: Promise<Running> | undefined;
    stack = await startStack({
      extProc: true,
      metadataLog,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer } },
        upstreamProviders: {
          github: { issuer: github.issuer, clientId: 'c', clientSecret: CLIENT_SECRETS[0], scopes: ['repo'] },
        },
        vault: { store: redis.url, keys: [{ id: 'k1', key: KEY }] },
        connect: { login: { issuer, clientId: 'connect-pages', clientSecret: CLIENT_SECRETS[1] }, cookieKeys: [KEY] },
        session: { keys: [{ id: 'k1', key: KEY }] },
        log: { level: 'debug' },
      },
      routes: (origin) => {
        starting = startIdentityProvider({ port, clients: [connectPagesClient(origin, CLIENT_SECRETS[1])] });
        return [
          {
            prefix: '/github/mcp',
            rewrite: '/mcp',
            port: Number(new URL(backend.url).port),
            policy: {
              backend: 'github',
              resource: `${origin}/github/mcp`,
              incomingAuth: ['corp'],
              passthroughHeaders: ['X-Tenant'],
              identityPropagation: { mode: 'meta', attributes: ['id', 'email'] },
              outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'github' } },
              session: { bind: true, passthroughCapture: 'session' },
            },
          },
        ];
      },
    });
    idp = await (starting as Promise<Running>);
    vault = await openVault(vaultConfig(redis.url, [{ id: 'k1', bytes: KEY_BYTES }]), testTools());
    await useIt(issuer);
    await collect(issuer);
  });
  after(async () => {
    await vault?.close();
    await stack?.stop();
    await Promise.all([idp, backend, github].map((server) => server?.stop()));
    await redis?.dispose();
    rmSync(folder, { recursive: true });
  });

  async function useIt(issuer: string): Promise<void> {
    const resource = `${stack.origin}/github/mcp`;
    const form = { grant_type: 'urn:demo:grant:user', client_id: 'demo-cli', username: 'alice', resource };
    const given = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(form) });
    callerToken = ((await given.json()) as { access_token: string }).access_token;
    const client = await connectLegacy(resource, {
      headers: async () => ({ authorization: `Bearer ${callerToken}`, 'x-tenant': CAPTURED }),
    });
    link = /http:\S+\?ticket=[\w-]+/.exec(await client.call('whoami'))?.[0] ?? '';
    const asked = await browser.press(await browser.get(link), 'Sign in and connect');
    const done = await browser.follow(await browser.press(await browser.follow(asked), 'alice'));
    assert.equal(done.heading, 'github is connected');
    for (let round = 0; round < 3; round++) {
      assert.match(await client.call('whoami'), /x-tenant/);
      if (round < 2) await delay(2_100); // the token ends
    }
    assert.ok(github.refreshes.length >= 2);
    await client.close();
  }

  async function collect(issuer: string): Promise<void> {
    const grant = await vault.read({ issuer, subject: 'alice', provider: 'github' });
    const sent = github
      .tokenRequests()
      .flatMap(({ params, headers }) => [
        params.get('code'),
        params.get('code_verifier'),
        params.get('refresh_token'),
        /^Basic (.*)$/.exec(headers.authorization ?? '')?.[1],
      ]);
    const visited = browser.visited.flatMap((url) => {
      const { searchParams } = new URL(url);
      return ['code', 'state', 'ticket', 'nonce'].map((name) => searchParams.get(name));
    });
    const all = [
      ...[...tokens].filter((token) => token !== ''),
      grant?.accessToken.reveal(),
      grant?.refreshToken?.reveal(),
      ...sent,
      ...visited,
      callerToken,
      callerToken.split('.')[1],
      ...CLIENT_SECRETS,
      KEY,
      CAPTURED,
    ];
    secrets = [...new Set(all.filter((text) => text !== undefined && text !== null))];
    assert.ok(tokens.size >= 4, 'none, and three that the provider gave'); // listing goes without a token

    written.set('metrics', await stack.metrics());
    written.set('what Envoy shows of itself', await (await fetch(`${stack.envoyAdmin}/config_dump`)).text());
    const admin = connect(redis.port, '127.0.0.1');
    admin.write('SAVE\r\n');
    await once(admin, 'data');
    admin.destroy();
    const files = readdirSync(redis.directory, { recursive: true, encoding: 'utf8' })
      .map((name) => join(redis.directory, name))
      .filter((path) => statSync(path).isFile());
    assert.ok(files.some((name) => name.endsWith('.rdb')) && files.some((name) => name.endsWith('.aof')));
    written.set('what Redis keeps', files.map((path) => readFileSync(path, 'latin1')).join('\n'));
    await stack.envoy.stop('SIGTERM'); // its access log is complete then
    written.set('access log with dynamic metadata', readFileSync(metadataLog, 'utf8'));
    const [service] = stack.services;
    written.set('log', service?.stderr ?? '');
    written.set('audit', service?.stdout ?? '');
  }

  it('each place really holds what belongs there', () => {
    for (const [place, sign] of [
      ['metrics', 'mcp_identity_upstream_refreshes_total{provider="github",outcome="refreshed"}'],
      ['metrics', 'mcp_identity_upstream_grants{provider="github",state="usable"}'],
      ['what Envoy shows of itself', '"providerName": "github"'],
      ['what Redis keeps', 'emi:grant:'],
      ['access log with dynamic metadata', '"mcp.identity.plan":"'],
      ['log', '"message":"serving"'],
      ['audit', '"event":"refresh","outcome":"allow"'],
    ] as const)
      assert.ok(written.get(place)?.includes(sign), `${place}: ${written.get(place)?.slice(0, 2_000)}`);
  });

  it('no token, code, state, ticket, verifier or secret stands in any of them', () => {
    assert.ok(secrets.length > 15, `${secrets.length}`);
    for (const [place, text] of written)
      for (const secret of secrets) {
        assert.ok(!text.includes(secret), `${secret.slice(0, 12)}… in: ${place}`);
        assert.ok(!text.includes(encodeURIComponent(secret)), `${secret.slice(0, 12)}… encoded, in: ${place}`);
        const inBase64 = Buffer.from(secret).toString('base64url').slice(0, -2);
        assert.ok(!text.includes(inBase64), `${secret.slice(0, 12)}… in base64, in: ${place}`);
      }
  });

  it('and nobody’s name, but in the audit', () => {
    for (const [place, text] of written) if (place !== 'audit') assert.doesNotMatch(text, /alice/i, place);
    assert.match(written.get('audit') ?? '', /"subject":"alice"/);
  });
});
