import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose';
import { errors, type KoaContextWithOIDC, Provider, type ResourceServer } from 'oidc-provider';
import { memoryAdapter } from '../../demo/memory-adapter.ts';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const PARAMETERS = [
  'subject_token',
  'subject_token_type',
  'actor_token',
  'actor_token_type',
  'requested_token_type',
  'audience',
  'resource',
  'scope',
] as const;
type Parameters = Partial<Record<(typeof PARAMETERS)[number], string>>;

export const GATEWAY = { clientId: 'gateway', clientSecret: 'gateway-s3cret' };

export interface ExchangeServer {
  readonly issuer: string;
  readonly tokenEndpoint: string;
  /** Exchanges that gave a token: what was asked for. */
  readonly exchanges: Parameters[];
  /** Tokens that the gateway got for itself. */
  ownTokens: number;
  /** Status of every answer of the token endpoint, until it is set to undefined again. */
  trouble: number | undefined;
  /** Seconds that exchanged tokens live. */
  lifetimeSeconds: number;
  /** Whose an opaque token of another service is. */
  foreign: (token: string) => string | undefined;
  /** Subjects that have signed out: their tokens are not exchanged any more. */
  readonly signedOut: Set<string>;
  /** An access token of the user, as an MCP client would get it for that resource. */
  userToken(subject: string, resource: string): Promise<string>;
  /** The claims of a token that this server has issued. @throws when it has not */
  claims(token: string): Promise<JWTPayload>;
  stop(): Promise<void>;
}

/** `oidc-provider` with an RFC 8693 grant: audiences `hr` and `pay`, scopes `read` and `write`, `act` for actor tokens. */
export async function startExchangeServer(): Promise<ExchangeServer> {
  let handle: (request: IncomingMessage, response: ServerResponse) => unknown = (_request, response) =>
    response.writeHead(503).end();
  const http = createServer((request, response) => {
    if (server.trouble === undefined) handle(request, response);
    else response.writeHead(server.trouble).end();
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;

  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: 'jwk' }), kty: 'RSA', use: 'sig', alg: 'RS256', kid: 'k1' } as const;
  const keys = createLocalJWKSet({
    keys: [{ kty: 'RSA', n: key.n as string, e: key.e as string, alg: 'RS256', kid: 'k1' }],
  });
  const claims = async (token: string) => (await jwtVerify(token, keys, { issuer })).payload;

  const actors = new WeakMap<KoaContextWithOIDC, JWTPayload>();
  const provider = new Provider(issuer, {
    adapter: memoryAdapter(),
    jwks: { keys: [key] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    clients: [
      {
        client_id: GATEWAY.clientId,
        client_secret: GATEWAY.clientSecret,
        grant_types: [EXCHANGE, 'client_credentials'],
        response_types: [],
        redirect_uris: [],
      },
    ],
    ttl: { AccessToken: () => server.lifetimeSeconds, ClientCredentials: 300, Grant: 3_600 },
    // Every member that is not named otherwise becomes a claim.
    extraTokenClaims: (context) => actors.get(context),
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: (_context, resource) => audience(resource) },
    },
  });
  provider.on('server_error', (_context: KoaContextWithOIDC, error: Error) => console.error(error));
  provider.on('client_credentials.saved', () => void server.ownTokens++);

  const issue = async (subject: string, target: string, scope: string): Promise<string> => {
    const client = await provider.Client.find(GATEWAY.clientId);
    if (!client) throw new Error('the client is gone');
    const grant = new provider.Grant({ accountId: subject, clientId: client.clientId });
    grant.addResourceScope(target, scope);
    const grantId = await grant.save();
    const resourceServer = new provider.ResourceServer(target, audience(target));
    const token = new provider.AccessToken({
      accountId: subject,
      client,
      grantId,
      gty: EXCHANGE,
      scope,
      resourceServer,
    });
    return token.save();
  };

  const subjectOf = async (token: string): Promise<string> => {
    const subject = server.foreign(token) ?? (await claims(token).catch(() => undefined))?.sub;
    // RFC 8693 2.2.2
    if (subject === undefined || server.signedOut.has(subject)) throw new errors.InvalidRequest('subject_token');
    return subject;
  };

  provider.registerGrantType<Parameters>(
    EXCHANGE,
    async (context) => {
      const params = context.oidc.params as Parameters;
      if (params.subject_token === undefined || params.subject_token_type === undefined)
        throw new errors.InvalidRequest('subject');
      const subject = await subjectOf(params.subject_token);
      const target = params.audience ?? params.resource ?? 'hr';
      if (!['hr', 'pay'].includes(target)) throw new errors.InvalidTarget('audience');
      const scope = params.scope ?? 'read';
      if (!scope.split(' ').every((one) => ['read', 'write'].includes(one)))
        throw new errors.InvalidScope('scope', scope);
      if (params.actor_token !== undefined) {
        const actor = await provider.ClientCredentials.find(params.actor_token);
        if (!actor?.clientId) throw new errors.InvalidRequest('actor_token');
        actors.set(context, { act: { sub: actor.clientId } });
      }
      const token = await issue(subject, target, scope);
      server.exchanges.push({ ...params });
      context.body = {
        access_token: token,
        issued_token_type: ACCESS_TOKEN,
        token_type: 'Bearer',
        expires_in: server.lifetimeSeconds,
        scope,
      };
    },
    PARAMETERS,
  );
  handle = provider.callback();

  const server: ExchangeServer = {
    issuer,
    tokenEndpoint: `${issuer}/token`,
    exchanges: [],
    ownTokens: 0,
    trouble: undefined,
    lifetimeSeconds: 300,
    foreign: () => undefined,
    signedOut: new Set(),
    userToken: (subject, resource) => issue(subject, resource, 'read'),
    claims,
    stop: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
  return server;
}

function audience(target: string): ResourceServer {
  return { scope: 'read write', audience: target, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
}
