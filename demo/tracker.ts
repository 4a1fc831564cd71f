import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Provider } from 'oidc-provider';
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { loginPage } from './login-page.ts';
import { memoryAdapter } from './memory-adapter.ts';
import { newSigningKey } from './signing-key.ts';
import { trackerAccounts, trackerScopes } from './tracker-accounts.ts';
import { createTrackerMcp } from './tracker-mcp.ts';
import type { FindToken } from './tracker-mcp.ts';
import { listen, webHandler } from './web-server.ts';
import type { ListenOptions, OnRequest, Running } from './web-server.ts';

export interface TrackerOptions extends ListenOptions {
  /** The one application that may ask for its users' tokens. */
  readonly client: { readonly id: string; readonly secret: string; readonly redirectUri: string };
  /** Lifetime of access tokens; default 20 s, so that a refresh can be watched. */
  readonly tokenSeconds?: number | undefined;
  /** Called for requests of the MCP server. */
  readonly onRequest?: OnRequest | undefined;
}

/**
 * A service with accounts, an OAuth server and an MCP server (at `<url>/mcp`) of its own, as GitHub and many others are.
 * Tokens are opaque and short-lived; refresh tokens rotate, and one that comes twice ends the whole grant (RFC 9700 4.14.2);
 * whoever disconnects ends it as well (RFC 7009). Nothing is kept.
 */
export async function startTracker(options: TrackerOptions): Promise<Running> {
  // With port 0 the issuer is known only once the socket is open.
  let handle: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) =>
    response.writeHead(503).end();
  const running = await listen((request, response) => handle(request, response), options);
  try {
    const provider = new Provider(running.url, configuration(options));
    provider.on('server_error', (_context: KoaContextWithOIDC, error: Error) => console.error(error));
    const oauth = provider.callback();
    const people = trackerAccounts;
    const page = loginPage(provider, { title: 'Demo tracker', people, allowed: () => [...trackerScopes] });
    const mcp = createTrackerMcp(tokensOf(provider));
    const mcpHandler = webHandler((request) => mcp.handle(request), options.onRequest);
    handle = (request, response) => {
      const path = request.url ?? '/';
      if (path === '/mcp') mcpHandler(request, response);
      else void (path.startsWith('/interaction/') ? page(request, response) : oauth(request, response));
    };
    return {
      url: running.url,
      async stop() {
        await mcp.close();
        await running.stop();
      },
    };
  } catch (error) {
    await running.stop();
    throw error;
  }
}

function tokensOf(provider: Provider): FindToken {
  return async (accessToken) => {
    const token = accessToken === '' ? undefined : await provider.AccessToken.find(accessToken);
    const account = token && trackerAccounts.get(token.accountId);
    if (!account) return undefined;
    const nowSeconds = Date.now() / 1000;
    const ageSeconds = Math.max(0, Math.floor(nowSeconds - (token.iat ?? nowSeconds)));
    return { account, ageSeconds, leftSeconds: token.remainingTTL };
  };
}

/** Every callback and lifetime stands here because oidc-provider warns on stdout about each default it uses. */
function configuration({ client, tokenSeconds = 20 }: TrackerOptions): Configuration {
  const day = 24 * 60 * 60;
  // Cookies know no ports: with the usual names a browser would mix them up with those of the identity provider.
  const names = { session: 'tracker_session', interaction: 'tracker_interaction', resume: 'tracker_resume' };
  return {
    adapter: memoryAdapter(),
    jwks: { keys: [newSigningKey()] },
    cookies: { keys: [randomBytes(32).toString('base64url')], names },
    clients: [
      {
        client_id: client.id,
        client_name: 'MCP identity service',
        client_secret: client.secret,
        redirect_uris: [client.redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
    responseTypes: ['code'],
    scopes: [...trackerScopes],
    ttl: {
      AccessToken: tokenSeconds,
      AuthorizationCode: 60,
      Grant: day,
      IdToken: tokenSeconds,
      Interaction: 600,
      RefreshToken: day,
      Session: day,
    },
    findAccount: (_context, sub) =>
      trackerAccounts.has(sub) ? { accountId: sub, claims: () => ({ sub }) } : undefined,
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    expiresWithSession: () => false,
    pkce: { required: () => true },
    renderError: (context, out) => {
      context.type = 'text/plain';
      context.body = `${out.error}: ${out.error_description ?? 'no details'}\n`;
    },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      resourceIndicators: { enabled: false },
      revocation: { enabled: true, allowedPolicy: (_context, asking, token) => token.clientId === asking.clientId },
      rpInitiatedLogout: { enabled: false },
    },
  };
}
