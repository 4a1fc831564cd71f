import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Client as ModernClient,
  type OAuthDiscoveryState,
  type StoredOAuthClientInformation,
  type StoredOAuthTokens,
  StreamableHTTPClientTransport as ModernTransport,
  UnauthorizedError as ModernUnauthorized,
  UrlElicitationRequiredError as ModernUrlRequired,
} from '@modelcontextprotocol/client';
import {
  type OAuthDiscoveryState as LegacyDiscovery,
  UnauthorizedError,
} from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { OAuthClientInformationMixed, OAuthTokens } from '@modelcontextprotocol/sdk/shared/auth.js';
import { UrlElicitationRequiredError } from '@modelcontextprotocol/sdk/types.js';
import { connectPagesClient, trackerClient } from '../../demo/account-clients.ts';
import { connectAccount, disconnectAccount } from '../../demo/connect-account.ts';
import { startIdentityProvider } from '../../demo/identity-provider.ts';
import { startLegacyBackend } from '../../demo/mcp-legacy.ts';
import { scriptedUser } from '../../demo/scripted-user.ts';
import { startTracker } from '../../demo/tracker.ts';
import type { Running } from '../../demo/web-server.ts';
import { rpc, toolCall } from '../support/http.ts';
import { freePorts } from '../support/ports.ts';
import { type Stack, startStack } from '../support/stack.ts';

const TOKEN_SECONDS = 2;
const KEY = randomBytes(32).toString('base64');
const URL_ELICITATION = { capabilities: { elicitation: { url: {} } } };
const quiet = (): void => {};

interface Elicitation {
  readonly mode?: unknown;
  readonly url: string;
  readonly elicitationId: string;
  readonly message: string;
}

/**
 * Everything from the first 401 on, by the clients themselves: discovery, registration, sign-in, the elicitation, the
 * call after it. A script is the browser, at the pages of this service, the identity provider and the tracker.
 */
describe('official clients with URL elicitation connect an account through a real Envoy', { timeout: 120_000 }, () => {
  let idp: Running;
  let tracker: Running;
  let sessions: Running;
  let stack: Stack;
  const tokens: string[] = [];

  before(async () => {
    const [idpPort, trackerPort] = (await freePorts(2)) as [number, number];
    const [issuer, trackerUrl] = [idpPort, trackerPort].map((port) => `http://127.0.0.1:${port}`) as [string, string];
    sessions = await startLegacyBackend({
      port: 0,
      onRequest: ({ authorization = '' }) => void tokens.push(authorization),
    });
    let others: Promise<[Running, Running]> | undefined;
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer } },
        upstreamProviders: {
          tracker: { issuer: trackerUrl, clientId: 'mcp-identity', clientSecret: 's1', scopes: ['issues:read'] },
        },
        vault: { store: 'sqlite:./vault.db', keys: [{ id: 'k1', key: KEY }] },
        connect: { login: { issuer, clientId: 'connect-pages', clientSecret: 's2' }, cookieKeys: [KEY] },
        session: { keys: [{ id: 'k1', key: KEY }] },
      },
      routes: (origin) => {
        // Redirect URIs are registered there, and Envoy's port is known only now.
        others = Promise.all([
          startIdentityProvider({ port: idpPort, clients: [connectPagesClient(origin, 's2')] }),
          startTracker({ port: trackerPort, client: trackerClient(origin, 's1'), tokenSeconds: TOKEN_SECONDS }),
        ]);
        const route = (name: string, port: number, more: object) => ({
          prefix: `/${name}/mcp`,
          rewrite: '/mcp',
          port,
          policy: {
            backend: name,
            resource: `${origin}/${name}/mcp`,
            incomingAuth: ['corp'],
            scopes: ['mcp:read'],
            outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'tracker' } },
            ...more,
          },
        });
        return [
          route('sessions', Number(new URL(sessions.url).port), { session: { bind: true } }),
          route('tracker', trackerPort, {}),
        ];
      },
    });
    [idp, tracker] = await (others as Promise<[Running, Running]>);
  });
  after(async () => {
    await stack?.stop();
    await Promise.all([idp, tracker, sessions].map((server) => server?.stop()));
  });

  /** Whose token the backend got last, if the tracker takes it at this moment. */
  const accountOf = async (authorization: string | undefined) => {
    const { status, body } = await rpc(`${tracker.url}/mcp`, toolCall('whoami'), [
      'Authorization',
      authorization ?? '',
      'Mcp-Protocol-Version',
      '2025-06-18',
    ]);
    return status === 200 ? /tracker account: (\w+)/.exec(body)?.[1] : status;
  };
  const opens = async (user: string, elicitations: readonly Elicitation[]) => {
    const [asked, ...more] = elicitations;
    assert.ok(asked);
    assert.equal(more.length, 0);
    assert.equal(asked.mode, 'url');
    assert.match(asked.message, /tracker/);
    assert.ok(asked.elicitationId);
    assert.ok(asked.url.startsWith(`${stack.origin}/connect/tracker?ticket=`));
    await connectAccount(new URL(asked.url), user, quiet);
  };

  it('2025-11-25, SDK 1.x: error -32042 with the link; opened, the same call works, also with the next token; disconnected, the error again', async () => {
    const url = new URL(`${stack.origin}/sessions/mcp`);
    const authProvider = scriptedUser<OAuthClientInformationMixed, OAuthTokens, LegacyDiscovery>('alice', quiet);
    const client = new Client({ name: 'test', version: '1' }, URL_ELICITATION);
    const first = new StreamableHTTPClientTransport(url, { authProvider });
    await assert.rejects(client.connect(first), UnauthorizedError);
    await first.finishAuth(authProvider.takeCallback().get('code') ?? '');
    const transport = new StreamableHTTPClientTransport(url, { authProvider });
    await client.connect(transport);
    assert.equal(transport.protocolVersion, '2025-11-25');

    const call = () => client.callTool({ name: 'echo', arguments: { text: 'it works' } });
    const refused = async (): Promise<UrlElicitationRequiredError> => {
      const error = await call().then(
        () => assert.fail('it was let through'),
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof UrlElicitationRequiredError, String(error));
      return error;
    };
    const error = await refused();
    assert.equal(error.code, -32042);
    await opens('alice', error.elicitations);
    for (const round of ['at once', 'after the token has expired']) {
      tokens.length = 0;
      assert.deepEqual((await call()).content, [{ type: 'text', text: 'it works' }], round);
      assert.equal(await accountOf(tokens.at(-1)), 'wonderland', round);
      if (round === 'at once') await delay((TOKEN_SECONDS + 0.5) * 1_000);
    }
    await disconnectAccount(new URL(`${stack.origin}/connect`), 'tracker', 'alice', quiet);
    assert.equal((await refused()).elicitations.length, 1);
    await transport.terminateSession();
    await client.close();
  });

  it('2026-07-28, SDK 2.x: its handler gets the link, and the call goes on by itself', async () => {
    const url = new URL(`${stack.origin}/tracker/mcp`);
    const authProvider = scriptedUser<StoredOAuthClientInformation, StoredOAuthTokens, OAuthDiscoveryState>(
      'bob',
      quiet,
    );
    const shown: string[] = [];
    const client = new ModernClient(
      { name: 'test', version: '1' },
      { ...URL_ELICITATION, versionNegotiation: { mode: { pin: '2026-07-28' } } },
    );
    client.setRequestHandler('elicitation/create', async ({ params }) => {
      assert.ok(params.mode === 'url');
      shown.push(params.url);
      await connectAccount(new URL(params.url), 'bob', quiet);
      return { action: 'accept' };
    });
    const call = () => client.callTool({ name: 'my_issues', arguments: {} });
    const transport = new ModernTransport(url, { authProvider });
    await assert.rejects(
      client.connect(transport).then(call), // where it meets the 401 depends on what it asks first
      ModernUnauthorized,
    );
    await transport.finishAuth(authProvider.takeCallback());
    await client.connect(new ModernTransport(url, { authProvider }));
    for (const round of ['at once', 'after the token has expired']) {
      assert.deepEqual((await call()).content, [{ type: 'text', text: '- Can we fix it?' }], round);
      if (round === 'at once') await delay((TOKEN_SECONDS + 0.5) * 1_000);
    }
    assert.equal(shown.length, 1, 'asked once');
    await client.close();
  });

  it('2025-11-25, SDK 2.x: the same error, with the link', async () => {
    const url = new URL(`${stack.origin}/sessions/mcp`);
    const authProvider = scriptedUser<StoredOAuthClientInformation, StoredOAuthTokens, OAuthDiscoveryState>(
      'alice',
      quiet,
    );
    const client = new ModernClient(
      { name: 'test', version: '1' },
      { ...URL_ELICITATION, versionNegotiation: { mode: 'legacy' } },
    );
    const first = new ModernTransport(url, { authProvider });
    await assert.rejects(client.connect(first), ModernUnauthorized);
    await first.finishAuth(authProvider.takeCallback());
    await client.connect(new ModernTransport(url, { authProvider }));
    const call = () => client.callTool({ name: 'echo', arguments: { text: 'it works' } });
    const error = await call().catch((reason: unknown) => reason);
    assert.ok(error instanceof ModernUrlRequired, String(error));
    await opens('alice', error.elicitations);
    tokens.length = 0;
    assert.deepEqual((await call()).content, [{ type: 'text', text: 'it works' }]);
    assert.equal(await accountOf(tokens.at(-1)), 'wonderland');
    await client.close();
  });
});
