import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors, Provider } from 'oidc-provider';
import type { ClientMetadata, Configuration, KoaContextWithOIDC, ResourceServer } from 'oidc-provider';
import { loginPage } from './login-page.ts';
import { memoryAdapter } from './memory-adapter.ts';
import { allowedScopes, people, resourceScopes } from './people.ts';
import { newSigningKey } from './signing-key.ts';
import { registerUserGrant, userGrantClient } from './user-grant.ts';
import { listen } from './web-server.ts';
import type { ListenOptions, Running } from './web-server.ts';

export interface IdentityProviderOptions extends ListenOptions {
  /** Lifetime of access tokens; default 600 s. */
  readonly accessTokenSeconds?: number;
  /** `jwt` (default): RFC 9068. `opaque`: tokens that need introspection. */
  readonly accessTokenFormat?: 'jwt' | 'opaque';
  /** More clients than those that register themselves. */
  readonly clients?: readonly ClientMetadata[];
}

/**
 * A whole OAuth and OpenID Connect provider in this process, for demonstration: two people, no passwords,
 * clients that register themselves (RFC 7591), PKCE, resource indicators (RFC 8707), refresh tokens,
 * JWT access tokens (RFC 9068) with demonstration claims. Keys are made at start and nothing is kept.
 */
export async function startIdentityProvider(options: IdentityProviderOptions): Promise<Running> {
  // With port 0 the issuer is known only once the socket is open.
  let provider: RequestHandler = notYet;
  const running = await listen((request, response) => {
    if (allowLoopbackPages(request, response)) provider(request, response);
  }, options);
  try {
    provider = createProvider(running.url, options);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return running;
}

const notYet: RequestHandler = (_request, response) => response.writeHead(503).end();

type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

function createProvider(issuer: string, options: IdentityProviderOptions): RequestHandler {
  const provider = new Provider(issuer, configuration(options));
  registerUserGrant(provider, (resource) => resourceServer(resource, options));
  provider.on('server_error', (_context: KoaContextWithOIDC, error: Error) => console.error(error));

  const standard = provider.callback();
  const login = loginPage(provider, { title: 'Demo sign-in', people, allowed: allowedScopes });
  return (request, response) => {
    void (request.url?.startsWith('/interaction/') ? login(request, response) : standard(request, response));
  };
}

/** Every callback and lifetime stands here because oidc-provider warns on stdout about each default it uses. */
function configuration(options: IdentityProviderOptions): Configuration {
  const accessTokenSeconds = options.accessTokenSeconds ?? 600;
  const day = 24 * 60 * 60;
  return {
    adapter: memoryAdapter(),
    jwks: { keys: [newSigningKey()] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    clients: [userGrantClient, ...(options.clients ?? [])],
    responseTypes: ['code'],
    scopes: ['openid', 'offline_access', 'profile', 'email'],
    claims: { openid: ['sub'], email: ['email'], profile: ['name', 'groups', 'department', 'realm_access'] },
    ttl: {
      AccessToken: accessTokenSeconds,
      AuthorizationCode: 60,
      ClientCredentials: accessTokenSeconds,
      Grant: day,
      IdToken: accessTokenSeconds,
      Interaction: 600,
      RefreshToken: day,
      Session: day,
    },
    findAccount: (_context, sub) => {
      const person = people.get(sub);
      return person === undefined ? undefined : { accountId: sub, claims: () => ({ ...person }) };
    },
    // The claims a gateway may hand on; a real provider would be asked for them, claim by claim.
    extraTokenClaims: (_context, token) => {
      const person = token.kind === 'AccessToken' ? people.get(token.accountId) : undefined;
      if (person === undefined) return undefined;
      const { sub: _sub, ...claims } = person;
      return claims;
    },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    // MCP clients name the resource's scopes when they register. Those are no scopes of this provider, and who
    // registered for `mcp:read` may still step up to `mcp:admin`; the person's rights decide (RFC 7591 3.2.1).
    extraClientMetadata: {
      properties: ['scope'],
      validator: (_context, _name, _value, metadata) => {
        delete metadata.scope;
      },
    },
    // MCP clients register for refresh tokens but not all of them ask for the scope `offline_access`.
    issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    pkce: { required: () => true },
    renderError: (context, out) => {
      context.type = 'text/plain';
      context.body = `${out.error}: ${out.error_description ?? 'no details'}\n`;
    },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true, allowedPolicy: (_context, client, token) => token.clientId === client.clientId },
      introspection: { enabled: true, allowedPolicy: (_context, client) => client.clientAuthMethod !== 'none' },
      rpInitiatedLogout: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => resourceServer(resource, options),
        // A client that authorised for one resource gets a token for it without naming it again.
        useGrantedResource: () => true,
      },
    },
  };
}

/** Any loopback or https URL is a resource of the demo: people change ports and paths of their routes. */
function resourceServer(resource: string, options: IdentityProviderOptions): ResourceServer {
  const { protocol, hostname } = new URL(resource);
  if (protocol !== 'https:' && !(protocol === 'http:' && isLoopback(hostname))) {
    throw new errors.InvalidTarget('a resource is an https URL, or http on a loopback address');
  }
  return {
    scope: resourceScopes.join(' '),
    audience: resource,
    accessTokenFormat: options.accessTokenFormat ?? 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  };
}

/**
 * CORS for MCP clients that run in a browser, registration included. Pages from the network stay outside:
 * tokens are given away here without a password. Returns false when the request is answered already.
 */
function allowLoopbackPages(request: IncomingMessage, response: ServerResponse): boolean {
  const { origin } = request.headers;
  if (origin === undefined) return true;
  if (!URL.canParse(origin) || !isLoopback(new URL(origin).hostname)) {
    response.writeHead(403, { 'content-type': 'text/plain' }).end('this demo serves pages on this machine only\n');
    return false;
  }
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('vary', 'origin');
  if (request.method !== 'OPTIONS') return true;
  response.setHeader('access-control-allow-methods', 'GET, POST');
  response.setHeader('access-control-allow-headers', 'authorization, content-type, mcp-protocol-version');
  response.writeHead(204).end();
  return false;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
}
