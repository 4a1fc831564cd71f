import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { User } from '../../../src/core/identity.ts';
import { Secret } from '../../../src/core/secret.ts';
import type { StrategyOutcome } from '../../../src/strategies/strategy.ts';
import type { UpstreamAnswer } from '../../../src/upstream/upstream-answer.ts';
import type { Refresher } from '../../../src/upstream/refresher.ts';

/** An answer of the scripted endpoint; `undefined` never comes. */
export interface Scripted {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Record<string, unknown>;
}

/** An HTTP endpoint that does what the test says. */
export interface ScriptedEndpoint {
  readonly url: string;
  readonly calls: { readonly params: URLSearchParams; readonly headers: IncomingMessage['headers'] }[];
  answer: (params: URLSearchParams, call: number) => Scripted | 'hang' | 'hang-up' | Promise<Scripted>;
  stop(): Promise<void>;
}

export async function startEndpoint(): Promise<ScriptedEndpoint> {
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const params = new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
    endpoint.calls.push({ params, headers: request.headers });
    const scripted = await endpoint.answer(params, endpoint.calls.length);
    if (scripted === 'hang') return;
    if (scripted === 'hang-up') return void request.socket.destroy();
    const json = typeof scripted.body !== 'string';
    const type = json ? 'application/json' : 'text/xml';
    response.writeHead(scripted.status ?? 200, { 'content-type': type, ...scripted.headers });
    response.end(json ? JSON.stringify(scripted.body) : scripted.body);
  };
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint: ScriptedEndpoint = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    calls: [],
    answer: () => 'hang-up',
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return endpoint;
}

/** A user who came with a token; `token: null` for methods without one. */
export function userWith(
  subject: string,
  options: {
    readonly token?: string | null;
    readonly claims?: Record<string, unknown>;
    readonly expiresAt?: number;
  } = {},
): User {
  const { token = `token-of-${subject}`, claims = {}, expiresAt } = options;
  return {
    kind: 'user',
    issuer: 'https://idp.example.com',
    subject,
    authMethod: token === null ? 'api_key' : 'jwt',
    methodName: token === null ? 'ci' : 'corp',
    claims,
    attributes: {},
    scopes: new Set(),
    delegationChain: [],
    ...(token === null ? {} : { token: new Secret(token) }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
}

/** An unsigned token in the form of a JWT: nobody here looks at the signature. */
export function jwtWith(claims: Record<string, unknown>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256', typ: 'at+jwt' })}.${part(claims)}.c2ln`;
}

/** A refresher that says what the test wants, and remembers what was called stale. */
export function fakeRefresher(answer: (subject: string) => UpstreamAnswer): Refresher & { readonly stale: unknown[] } {
  const stale: unknown[] = [];
  return {
    stale,
    knows: (provider) => provider === 'github',
    token: ({ subject }) => answer(subject),
    invalidate: async (refused) => void stale.push(refused),
    forget: () => {},
    close: async () => {},
  };
}

/** The credential header that an outcome writes. */
export function bearerOf(outcome: StrategyOutcome): string {
  if (outcome.kind !== 'write') throw new Error(`no headers: ${JSON.stringify(outcome)}`);
  const value = outcome.headers.find(([name]) => name === 'authorization')?.[1];
  return value instanceof Secret ? value.reveal() : String(value);
}

export function reasonOf(outcome: StrategyOutcome): string {
  return outcome.kind === 'refused' ? outcome.refusal.reason : outcome.kind;
}
