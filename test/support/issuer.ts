import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CompactSign, type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK } from 'jose';

export type IssuerAlgorithm = 'RS256' | 'ES256' | 'EdDSA';
const ALGORITHMS: readonly IssuerAlgorithm[] = ['RS256', 'ES256', 'EdDSA'];

/** How the issuer fails: a status, no answer at all, an answer that is no JSON, a redirect, or a hang-up. */
export type Trouble = { readonly status: number } | 'hang' | 'garbage' | 'redirect' | 'hang-up';

export interface TokenOptions {
  /** Default RS256. */
  readonly alg?: IssuerAlgorithm;
  /** Default: that of the key; null leaves it out. */
  readonly kid?: string | null;
  /** Default `at+jwt`; null leaves it out. */
  readonly typ?: string | null;
  /** Further header members; they win. */
  readonly header?: Readonly<Record<string, unknown>>;
}

type Claims = Readonly<Record<string, unknown>>;

interface SigningKey {
  readonly alg: IssuerAlgorithm;
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

/** An authorization server that only knows its keys: discovery, JWKS and a token for anybody. */
export interface FakeIssuer {
  readonly issuer: string;
  readonly jwksUri: string;
  /** Requests that arrived. */
  readonly requests: { discovery: number; jwks: number };
  /** Failure of every answer, until it is set to undefined again. */
  trouble: Trouble | undefined;
  /** Members that replace those of the metadata document; undefined takes one out. */
  metadata: Record<string, unknown>;
  /** Which well-known documents there are. */
  readonly documents: { oidc: boolean; oauth2: boolean };
  /** The keys as they are published. */
  jwks(): JWK[];
  /** Publishes other members instead of its keys; undefined goes back to the keys. */
  publish(keys: readonly unknown[] | undefined): void;
  /** Makes answers wait until the returned function is called. */
  hold(): () => void;
  /** Signs with new keys from now on; the old ones are withdrawn unless kept. */
  rotate(options?: { readonly keepOld?: boolean }): Promise<void>;
  /** Default claims: everything RFC 9068 asks for, valid for five minutes. Claims set to undefined are left out. */
  token(claims?: Claims, options?: TokenOptions): Promise<string>;
  /** A token whose payload is exactly this text. */
  tokenOf(payload: string, options?: TokenOptions): Promise<string>;
  /** `alg: none`, no signature. */
  unsecured(claims?: Claims): string;
  /** HS256 with the PEM of the public RSA key as secret. */
  confused(claims?: Claims): Promise<string>;
  /** Signed with a key of somebody else under the issuer's `kid`. */
  forged(claims?: Claims, options?: TokenOptions): Promise<string>;
  stop(): Promise<void>;
}

export interface IssuerOptions {
  /** Milliseconds since the epoch, for `iat` and `exp`. */
  readonly nowMs?: () => number;
  readonly audience?: string;
  /** Behind the origin: `/realms/a` makes an issuer with a path. */
  readonly path?: string;
}

export async function startIssuer(options: IssuerOptions = {}): Promise<FakeIssuer> {
  const { nowMs = Date.now, audience = 'https://mcp.example.com/mcp', path = '' } = options;
  let current = await makeKeys();
  let old: SigningKey[] = [];
  let published: readonly unknown[] | undefined;
  let held: Promise<void> | undefined;

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const known = routes.get(request.url ?? '');
    if (known) fake.requests[known.counts]++;
    await held;
    if (fake.trouble) return fail(response, fake.trouble);
    const body = known?.body();
    response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body ?? { error: 'not_found' }));
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer = `${origin}${path}`;

  const document = () => ({ issuer, jwks_uri: `${issuer}/jwks`, token_endpoint: `${issuer}/token`, ...fake.metadata });
  const routes = new Map<string, { counts: 'discovery' | 'jwks'; body: () => object | undefined }>([
    [`${path}/jwks`, { counts: 'jwks', body: () => ({ keys: published ?? fake.jwks() }) }],
    [
      `${path}/.well-known/openid-configuration`,
      { counts: 'discovery', body: () => (fake.documents.oidc ? document() : undefined) },
    ],
    [
      `/.well-known/oauth-authorization-server${path}`,
      { counts: 'discovery', body: () => (fake.documents.oauth2 ? document() : undefined) },
    ],
  ]);

  const payloadText = (claims: Claims) => {
    const iat = Math.floor(nowMs() / 1_000);
    const base = {
      iss: issuer,
      sub: 'alice',
      aud: audience,
      client_id: 'client',
      jti: randomUUID(),
      iat,
      exp: iat + 300,
    };
    return JSON.stringify({ ...base, ...claims });
  };
  const keyFor = (alg: IssuerAlgorithm) => current.find((key) => key.alg === alg) as SigningKey;
  const headerFor = ({ alg = 'RS256', kid = keyFor(alg).kid, typ = 'at+jwt', header = {} }: TokenOptions) => ({
    alg,
    ...(kid === null ? {} : { kid }),
    ...(typ === null ? {} : { typ }),
    ...header,
  });

  const fake: FakeIssuer = {
    issuer,
    jwksUri: `${issuer}/jwks`,
    requests: { discovery: 0, jwks: 0 },
    trouble: undefined,
    metadata: {},
    documents: { oidc: true, oauth2: true },
    jwks: () => [...current, ...old].map((key) => key.jwk),
    publish: (keys) => {
      published = keys;
    },
    hold: () => {
      let release = () => {};
      held = new Promise((resolve) => {
        release = resolve;
      });
      return () => {
        held = undefined;
        release();
      };
    },
    rotate: async ({ keepOld = false } = {}) => {
      old = keepOld ? [...current, ...old] : [];
      current = await makeKeys();
    },
    token: (claims = {}, tokenOptions = {}) => fake.tokenOf(payloadText(claims), tokenOptions),
    tokenOf: (payload, tokenOptions = {}) =>
      sign(payload, headerFor(tokenOptions), keyFor(tokenOptions.alg ?? 'RS256').privateKey),
    unsecured: (claims = {}) =>
      `${encode(JSON.stringify({ alg: 'none', typ: 'at+jwt' }))}.${encode(payloadText(claims))}.`,
    confused: async (claims = {}) => {
      const secret = new TextEncoder().encode(await exportSPKI(keyFor('RS256').publicKey));
      return sign(payloadText(claims), headerFor({ header: { alg: 'HS256' } }), secret);
    },
    forged: async (claims = {}, tokenOptions = {}) => {
      const { privateKey } = await generateKeyPair(tokenOptions.alg ?? 'RS256');
      return sign(payloadText(claims), headerFor(tokenOptions), privateKey);
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return fake;
}

function fail(response: ServerResponse, trouble: Trouble): void {
  if (trouble === 'hang') return;
  if (trouble === 'hang-up') response.socket?.destroy();
  else if (trouble === 'garbage') response.writeHead(200, { 'content-type': 'application/json' }).end('{"keys": [');
  else if (trouble === 'redirect') response.writeHead(302, { location: '/jwks' }).end();
  else response.writeHead(trouble.status, { 'content-type': 'application/json' }).end('{}');
}

function makeKeys(): Promise<SigningKey[]> {
  return Promise.all(
    ALGORITHMS.map(async (alg): Promise<SigningKey> => {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
      const kid = `${alg}-${randomUUID()}`;
      return { alg, kid, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), alg, kid, use: 'sig' } };
    }),
  );
}

/** Signs whatever it is given, sensible or not. */
async function sign(payload: string, header: Record<string, unknown>, key: CryptoKey | Uint8Array): Promise<string> {
  const crit = header['crit'];
  if (crit === undefined)
    return new CompactSign(Buffer.from(payload)).setProtectedHeader(header as { alg: string }).sign(key);
  const known = Object.fromEntries((crit as string[]).map((name) => [name, true]));
  return new CompactSign(Buffer.from(payload)).setProtectedHeader(header as { alg: string }).sign(key, { crit: known });
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64url');
}
