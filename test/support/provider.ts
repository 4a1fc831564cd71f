import { randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Secret } from '../../src/core/secret.ts';
import type { GrantContent } from '../../src/upstream/vault/vault.ts';

/** How the token endpoint fails; the others answer. `hang` takes the request in and never acts on it. */
export type ProviderTrouble =
  | 'hang'
  | 'hang-up'
  | 'garbage'
  | 'redirect'
  | { readonly status: number; readonly error?: string; readonly headers?: Readonly<Record<string, string>> };

/** One request as it arrived. */
export interface ProviderRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly params: URLSearchParams;
  readonly atMs: number;
}

type Members = Record<string, unknown>;

interface Family {
  readonly user: string;
  revoked: boolean;
  /** The one refresh token that is good. */
  current: string;
  /** When the one before it was used, in milliseconds since the epoch. */
  rotatedMs: number;
  previous?: string;
}

/** An OAuth server with users, short-lived tokens and rotation; reuse of a rotated token kills the family (RFC 9700 4.14.2). */
export interface FakeProvider {
  readonly issuer: string;
  readonly authorizationEndpoint: string;
  readonly tokenEndpoint: string;
  readonly revocationEndpoint: string;
  /** Seconds; undefined leaves `expires_in` out and tokens never end. */
  lifetimeSeconds: number | undefined;
  rotates: boolean;
  trouble: ProviderTrouble | undefined;
  /** Members of the metadata document that replace others; undefined takes one out. */
  metadata: Members;
  /** False: there is no metadata document. */
  documents: boolean;
  /** Scopes it grants; undefined leaves `scope` out. */
  scope: string | undefined;
  /** Changes a good answer of the token endpoint. */
  answer: (members: Members) => { status?: number; type?: string; body: string };
  /** Everything that arrived. */
  readonly requests: ProviderRequest[];
  /** Refreshes that were acted on: user by user. */
  readonly refreshes: string[];
  /** How many times a rotated refresh token came again, unless that was forgiven. */
  readonly reused: number;
  /** Whether the last rotated token may be used once more, as providers with a grace time allow; default: never. */
  forgives: (again: { readonly user: string; readonly rotatedMs: number }) => boolean;
  readonly revoked: string[];
  /** What a user has after connecting; for tests that put it into a vault themselves. */
  issue(
    user: string,
    options?: { readonly lifetimeSeconds?: number; readonly ageSeconds?: number; readonly scopes?: readonly string[] },
  ): GrantContent;
  /** A code for the callback of the authorization endpoint. */
  code(user: string): string;
  /** Whose token it is, if it is good at this moment, or was at another. */
  userOf(accessToken: string, atMs?: number): string | undefined;
  /** Whether something that the user was given last is still good. */
  isConnected(user: string): boolean;
  /** Ends all that was ever issued to the user. */
  revokeAll(user: string): void;
  /** Token requests that arrive from now on wait before (or after) they are acted on, until the returned function is called. */
  hold(when: 'before' | 'after'): () => void;
  /** Resolves when that many requests have arrived at the token endpoint. */
  arrived(count: number): Promise<void>;
  tokenRequests(): ProviderRequest[];
  stop(): Promise<void>;
}

export async function startProvider(
  options: { readonly lifetimeSeconds?: number; readonly path?: string } = {},
): Promise<FakeProvider> {
  const { path = '' } = options;
  const families: Family[] = [];
  const refreshTokens = new Map<string, Family>();
  const accessTokens = new Map<string, { family: Family; untilMs: number }>();
  const codes = new Map<string, string>();
  const watchers = new Set<() => void>();
  let before: Promise<void> | undefined;
  let after: Promise<void> | undefined;
  let reused = 0;

  const newToken = (kind: string, user: string) => `${kind}.${user}.${randomBytes(12).toString('base64url')}`;

  const mint = (family: Family, lifetimeSeconds: number | undefined): Members => {
    const accessToken = newToken('at', family.user);
    const untilMs = lifetimeSeconds === undefined ? Infinity : Date.now() + lifetimeSeconds * 1_000;
    accessTokens.set(accessToken, { family, untilMs });
    return {
      access_token: accessToken,
      token_type: 'Bearer',
      ...(lifetimeSeconds === undefined ? {} : { expires_in: lifetimeSeconds }),
      refresh_token: family.current,
      ...(fake.scope === undefined ? {} : { scope: fake.scope }),
    };
  };

  const open = (user: string): Family => {
    const family: Family = { user, revoked: false, current: newToken('rt', user), rotatedMs: 0 };
    families.push(family);
    refreshTokens.set(family.current, family);
    return family;
  };

  const token = (params: URLSearchParams): Members | string => {
    if (params.get('grant_type') === 'authorization_code') {
      const code = params.get('code') ?? '';
      const user = codes.get(code);
      codes.delete(code);
      return user === undefined ? 'invalid_grant' : mint(open(user), fake.lifetimeSeconds);
    }
    if (params.get('grant_type') !== 'refresh_token') return 'unsupported_grant_type';
    const presented = params.get('refresh_token') ?? '';
    const family = refreshTokens.get(presented);
    if (!family || family.revoked) return 'invalid_grant';
    const isForgiven = family.previous === presented && fake.forgives(family);
    if (family.current !== presented && !isForgiven) {
      reused++;
      family.revoked = true;
      return 'invalid_grant';
    }
    if (fake.rotates) {
      family.previous = presented;
      family.rotatedMs = Date.now();
      family.current = newToken('rt', family.user);
      refreshTokens.set(family.current, family);
    }
    fake.refreshes.push(family.user);
    return mint(family, fake.lifetimeSeconds);
  };

  const tokenEndpoint = async (response: ServerResponse, params: URLSearchParams): Promise<void> => {
    const { trouble } = fake;
    if (trouble === 'hang') return;
    if (trouble !== undefined) return fail(response, trouble);
    await before;
    const result = token(params);
    await after;
    if (typeof result === 'string') return sendJson(response, 400, { error: result });
    const { status = 200, type = 'application/json', body } = fake.answer(result);
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
  };

  const revocation = (response: ServerResponse, params: URLSearchParams): void => {
    const presented = params.get('token') ?? '';
    fake.revoked.push(presented);
    const family = refreshTokens.get(presented) ?? accessTokens.get(presented)?.family;
    if (family) family.revoked = true;
    response.writeHead(200).end();
  };

  const authorization = (response: ServerResponse, params: URLSearchParams): void => {
    const location = new URL(params.get('redirect_uri') ?? '');
    location.searchParams.set('code', fake.code(params.get('login_hint') ?? 'alice'));
    location.searchParams.set('state', params.get('state') ?? '');
    location.searchParams.set('iss', issuer);
    response.writeHead(302, { location: location.href }).end();
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '', origin);
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
    const params = request.method === 'POST' ? new URLSearchParams(body) : url.searchParams;
    fake.requests.push({ path: url.pathname, headers: request.headers, params, atMs: Date.now() });
    for (const look of watchers) look();
    if (url.pathname === `${path}/token`) await tokenEndpoint(response, params);
    else if (url.pathname === `${path}/revoke`) revocation(response, params);
    else if (url.pathname === `${path}/authorize`) authorization(response, params);
    else if (url.pathname.includes('/.well-known/') && fake.documents) sendJson(response, 200, document());
    else sendJson(response, 404, { error: 'not_found' });
  };
  const server = createServer((request, response) => void serve(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer = `${origin}${path}`;
  const document = () => ({
    issuer,
    authorization_endpoint: fake.authorizationEndpoint,
    token_endpoint: fake.tokenEndpoint,
    revocation_endpoint: fake.revocationEndpoint,
    authorization_response_iss_parameter_supported: true,
    ...fake.metadata,
  });

  const fake: FakeProvider = {
    issuer,
    authorizationEndpoint: `${issuer}/authorize`,
    tokenEndpoint: `${issuer}/token`,
    revocationEndpoint: `${issuer}/revoke`,
    lifetimeSeconds: options.lifetimeSeconds ?? 3_600,
    rotates: true,
    trouble: undefined,
    metadata: {},
    documents: true,
    scope: undefined,
    answer: (members) => ({ body: JSON.stringify(members) }),
    requests: [],
    refreshes: [],
    forgives: () => false,
    get reused() {
      return reused;
    },
    revoked: [],
    issue(user, { lifetimeSeconds = fake.lifetimeSeconds, ageSeconds = 0, scopes = [] } = {}) {
      const issuedAtMs = Date.now() - ageSeconds * 1_000;
      const members = mint(open(user), lifetimeSeconds === undefined ? undefined : lifetimeSeconds - ageSeconds);
      return {
        accessToken: new Secret(String(members['access_token'])),
        refreshToken: new Secret(String(members['refresh_token'])),
        tokenType: 'Bearer',
        scopes,
        requestedScopes: scopes,
        ...(lifetimeSeconds !== undefined && { expiresAtMs: issuedAtMs + lifetimeSeconds * 1_000 }),
        issuedAtMs,
        connectedAtMs: issuedAtMs,
      };
    },
    code(user) {
      const code = newToken('code', user);
      codes.set(code, user);
      return code;
    },
    userOf(accessToken, atMs = Date.now()) {
      const known = accessTokens.get(accessToken);
      return known && !known.family.revoked && atMs < known.untilMs ? known.family.user : undefined;
    },
    isConnected: (user) => families.some((family) => family.user === user && !family.revoked),
    revokeAll(user) {
      for (const family of families) if (family.user === user) family.revoked = true;
    },
    hold(when) {
      let release = () => {};
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      if (when === 'before') before = gate;
      else after = gate;
      return () => {
        if (when === 'before') before = undefined;
        else after = undefined;
        release();
      };
    },
    arrived: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (fake.tokenRequests().length < count) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      }),
    tokenRequests: () => fake.requests.filter((request) => request.path === `${path}/token`),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return fake;
}

function sendJson(response: ServerResponse, status: number, members: Members): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(members));
}

function fail(response: ServerResponse, trouble: Exclude<ProviderTrouble, 'hang'>): void {
  if (trouble === 'hang-up') response.socket?.destroy();
  else if (trouble === 'garbage')
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"access_token": ');
  else if (trouble === 'redirect') response.writeHead(302, { location: '/elsewhere' }).end();
  else {
    response.writeHead(trouble.status, { 'content-type': 'application/json', ...trouble.headers });
    response.end(JSON.stringify(trouble.error === undefined ? {} : { error: trouble.error, error_description: 'no' }));
  }
}
