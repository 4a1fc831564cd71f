import type { ServerResponse } from 'node:http';
import type { Seen } from '../test/support/backend.ts';
import type { ExchangeServer } from '../test/support/exchange-server.ts';
import type { FakeProvider } from '../test/support/provider.ts';
import type { Verifier } from '../src/verify/verifier.ts';
import { DENIED, type Route } from './kinds.ts';
import type { Call, Ledger } from './ledger.ts';
import { NONCE_HEADER } from './settings.ts';

/** Everything that clients make up begins with this, and none of it may arrive. */
export const MADE_UP = 'made-up-';
export const STREAM_EVENTS = 5;
/** A token that ended less than this before it arrived was good when the service gave it. */
const ON_ITS_WAY_MS = 1_000;

export interface BackendParts {
  readonly ledger: Ledger;
  readonly provider: FakeProvider;
  readonly exchange: ExchangeServer;
  /** Of the header on the route `signed`, and of `_meta` on the route `meta`. */
  readonly verifiers: { readonly signed: Verifier; readonly meta: Verifier };
  /** Seconds between two events of a stream. */
  readonly streamPauseMs: number;
}

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: { readonly arguments?: { readonly filler?: string }; readonly _meta?: Record<string, any> };
}

/** The MCP servers behind Envoy, all in one: they look at each call as closely as they can. */
export class CheckingBackend {
  /** Sessions that it has opened, and whose they are; closed ones too, for calls that were on their way meanwhile. */
  readonly #sessions = new Map<string, string>();
  readonly #parts: BackendParts;
  #opened = 0;

  constructor(parts: BackendParts) {
    this.#parts = parts;
  }

  readonly respond = (seen: Seen, response: ServerResponse): void => {
    void this.#serve(seen, response).catch((error: unknown) => {
      this.#parts.ledger.wrong('a check of the backend failed', '-', String(error));
      response.destroy();
    });
  };

  async #serve(seen: Seen, response: ServerResponse): Promise<void> {
    const { ledger } = this.#parts;
    const arrivedMs = Date.now();
    const call = ledger.find(seen.headers[NONCE_HEADER]);
    const route = seen.url.split('/')[1] as Route;
    if (!call) ledger.wrong('a call that nobody made', '-', `${seen.method} ${seen.url}`);
    else {
      call.arrivals++;
      await this.#check(seen, call, route, arrivedMs);
    }
    const message = seen.body.length > 0 ? (JSON.parse(seen.body.toString()) as Message) : {};
    this.#sessionOf(seen, message, response, call);
    const result = { nonce: call?.nonce, user: call?.user };
    if (message.method === 'tools/call' && seen.headers['accept'] === 'text/event-stream')
      return this.#stream(response, result);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id ?? null, result }));
  }

  async #check(seen: Seen, call: Call, route: Route, arrivedMs: number): Promise<void> {
    const wrong = (what: string, detail = '') =>
      this.#parts.ledger.wrong(what, call.kind, `${call.user}, nonce ${call.nonce}: ${detail}`);
    if (DENIED[call.kind]) wrong('a call that should have been denied reached the backend');
    const values = seen.rawHeaders.filter((_, i) => i % 2 === 1);
    if (values.some((value) => value.includes(MADE_UP))) wrong('a header that the client made up', values.join(' | '));
    if (call.credential !== '' && values.some((value) => value.includes(call.credential)))
      wrong('the credential of the client');
    const { headers } = seen;
    const expects = (name: string, wanted: string | undefined) => {
      if (headers[name] !== wanted) wrong(`another ${name}`, `${headers[name]} instead of ${wanted}`);
    };
    const isClaims = route === 'claims' || route === 'session';
    expects('x-user-sub', isClaims || route === 'bots' ? call.user : undefined);
    expects('x-user-email', isClaims ? `${call.user}@example.com` : undefined);
    expects('x-forwarded-user-id', route === 'signed' ? call.user : undefined);
    if (route !== 'upstream' && route !== 'exchange') expects('authorization', undefined);
    await this.#checkRoute(seen, call, route, arrivedMs, wrong);
  }

  async #checkRoute(
    seen: Seen,
    call: Call,
    route: Route,
    arrivedMs: number,
    wrong: (what: string, detail?: string) => void,
  ): Promise<void> {
    const { provider, exchange, verifiers } = this.#parts;
    const bearer = /^Bearer (.*)$/.exec(seen.headers['authorization'] ?? '')?.[1] ?? '';
    const body = seen.body.length > 0 ? (JSON.parse(seen.body.toString()) as Message) : {};
    if (body.method === 'tools/call' && body.params?.arguments?.filler !== call.filler) wrong('another body');
    if (route === 'upstream') {
      const owner = provider.userOf(bearer, arrivedMs - ON_ITS_WAY_MS);
      if (owner !== call.user) wrong('not a good token of this user', `${bearer.split('.', 2).join('.')} of ${owner}`);
    } else if (route === 'exchange') {
      const claims = await exchange.claims(bearer).catch((error: unknown) => String(error));
      const owner = typeof claims === 'string' ? claims : `${claims.sub} for ${String(claims.aud)}`;
      if (owner !== `${call.user} for hr`) wrong('not an exchanged token of this user', owner);
    } else if (route === 'signed') {
      const verified = await verifiers.signed.verify(seen.headers, seen).catch((error: unknown) => String(error));
      const sub = typeof verified === 'string' ? verified : verified.sub;
      if (sub !== call.user) wrong('not an assertion about this user', sub);
    } else if (route === 'meta') {
      const user = body.params?._meta?.['user'] as Record<string, string> | undefined;
      if (user?.['id'] !== call.user || user['email'] !== `${call.user}@example.com`)
        wrong('another user in _meta', JSON.stringify(user));
      const assertion = user?.['assertion'] ?? '';
      const verified = await verifiers.meta.verify(assertion, seen).catch((error: unknown) => String(error));
      const sub = typeof verified === 'string' ? verified : verified.sub;
      if (sub !== call.user) wrong('not an assertion about this user in _meta', sub);
    }
  }

  #sessionOf(seen: Seen, message: Message, response: ServerResponse, call: Call | undefined): void {
    const id = seen.headers['mcp-session-id'];
    if (message.method === 'initialize' && call) {
      const opened = `of-backend-${++this.#opened}`;
      this.#sessions.set(opened, call.user);
      response.setHeader('mcp-session-id', opened);
    } else if (id !== undefined) {
      const owner = this.#sessions.get(id);
      if (owner === undefined || owner !== call?.user)
        this.#parts.ledger.wrong(
          'the session of somebody else',
          call?.kind ?? '-',
          `${call?.user} in that of ${owner}`,
        );
    }
  }

  #stream(response: ServerResponse, result: object): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let sent = 0;
    const next = () => {
      response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', id: sent, result })}\n\n`);
      if (++sent < STREAM_EVENTS) return;
      clearInterval(timer);
      response.end();
    };
    const timer = setInterval(next, this.#parts.streamPauseMs);
    response.once('close', () => clearInterval(timer));
  }
}
