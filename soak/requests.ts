import { MADE_UP } from './backend.ts';
import type { Outgoing } from './client.ts';
import type { Kind, Route } from './kinds.ts';
import { type People, nameOf } from './people.ts';
import type { Random } from './random.ts';
import { botKey, botName } from './settings.ts';

export interface Cast {
  readonly users: number;
  /** Users from 0 to below this number have connected an account. */
  readonly connected: number;
  readonly bots: number;
}

/** A call that is about to be made. */
export interface Draft {
  readonly kind: Kind;
  /** Its number, or that of the bot. */
  readonly user: number;
  readonly name: string;
  readonly credential: string;
  readonly filler: string;
  readonly outgoing: (nonce: string) => Outgoing;
}

/** Kinds that need no session, and how many of a hundred calls they are. */
export const STATELESS = {
  claims: 20,
  signed: 8,
  meta: 10,
  'api key': 5,
  upstream: 26,
  exchange: 5,
  stream: 2,
  'hung up': 2,
  'bad credential': 6,
  'unknown key id': 1,
  'bad tool': 3,
  unconnected: 2,
} as const satisfies Partial<Record<Kind, number>>;

const ROUTE_OF: Readonly<Partial<Record<Kind, Route>>> = {
  signed: 'signed',
  meta: 'meta',
  'api key': 'bots',
  upstream: 'upstream',
  unconnected: 'upstream',
  exchange: 'exchange',
};
/** Some call all the time, most now and then: half of the calls come from these first users. */
const BUSY_USERS = 50;
const HANG_UP_MS = 150;
const BAD_ROUTES: readonly Route[] = ['claims', 'signed', 'meta', 'upstream', 'exchange', 'session'];

/** What a client sends that must not arrive: spellings of identity headers, cookies, internal headers. */
function madeUp(nonce: string): string[] {
  const value = MADE_UP + nonce;
  return ['X-User-Sub', 'X_User_Sub', 'X-User-Email', 'X-Forwarded-User-Id', 'X_Forwarded_User_Assertion', 'Cookie']
    .concat(['X-Forwarded-User-Assertion', 'X-Forwarded-Host', 'X-Envoy-Internal', 'X-Internal-Debug'])
    .flatMap((name) => [name, value]);
}

export function outgoing(
  route: Route,
  method: 'POST' | 'DELETE',
  nonce: string,
  credential: readonly string[],
  message?: object,
  accept = 'application/json, text/event-stream',
): Outgoing {
  return {
    method,
    path: `/${route}/mcp`,
    headers: [
      ...credential,
      'X-Soak-Nonce',
      nonce,
      'Content-Type',
      'application/json',
      'Accept',
      accept,
      ...madeUp(nonce),
    ],
    ...(message && { body: JSON.stringify(message) }),
  };
}

export const toolCall = (nonce: string, filler: string, name = 'work', more: object = {}) => ({
  jsonrpc: '2.0',
  id: nonce,
  method: 'tools/call',
  params: { name, arguments: { filler }, ...more },
});

/** Makes up the next call. */
export class Requests {
  readonly #random: Random;
  readonly #people: People;
  readonly #cast: Cast;

  constructor(random: Random, people: People, cast: Cast) {
    this.#random = random;
    this.#people = people;
    this.#cast = cast;
  }

  /** A user with a connected account, or any. */
  anyone(connected = false): number {
    const random = this.#random;
    const all = connected ? this.#cast.connected : this.#cast.users;
    return random.below(random.next() < 0.5 ? Math.min(BUSY_USERS, all) : all);
  }

  /** From ten bytes to two hundred kilobytes, now and then two megabytes. */
  filler(): string {
    const random = this.#random;
    const bytes = random.next() < 0.005 ? 2_000_000 : Math.round(10 ** random.between(1, 4.5));
    return String.fromCharCode(97 + random.below(26)).repeat(bytes);
  }

  /** @param user who is to call; default: made up, too */
  async draft(kind: keyof typeof STATELESS, user = this.#caller(kind)): Promise<Draft> {
    const random = this.#random;
    const isBot = kind === 'api key';
    const filler = kind === 'stream' ? 'x' : this.filler();
    const route = kind === 'bad credential' ? random.one(BAD_ROUTES) : (ROUTE_OF[kind] ?? 'claims');
    const hangUpMs = kind === 'hung up' ? random.between(0, HANG_UP_MS) : undefined;
    const accept = kind === 'stream' ? 'text/event-stream' : undefined;
    const tool = kind === 'bad tool' ? 'admin_delete' : 'work';
    const choice = random.next();
    const credential = await this.#credential(kind, user, choice);
    const meta = kind === 'meta' ? { _meta: { user: { id: MADE_UP }, progressToken: 1 } } : {};
    return {
      kind,
      user,
      name: isBot ? botName(user) : nameOf(user),
      credential: (credential[1] ?? '').replace(/^Bearer /, ''),
      filler,
      outgoing: (nonce) => ({
        ...outgoing(route, 'POST', nonce, credential, toolCall(nonce, filler, tool, meta), accept),
        ...(hangUpMs !== undefined && { hangUpMs }),
      }),
    };
  }

  #caller(kind: Kind): number {
    const { users, connected, bots } = this.#cast;
    if (kind === 'unconnected') return connected + this.#random.below(users - connected);
    return kind === 'api key' ? this.#random.below(bots) : this.anyone(kind === 'upstream');
  }

  async #credential(kind: Kind, user: number, choice: number): Promise<readonly string[]> {
    const people = this.#people;
    const bearer = (token: string) => ['Authorization', `Bearer ${token}`];
    if (kind === 'api key') return ['X-Api-Key', botKey(user)];
    if (kind === 'unknown key id')
      return bearer(await people.withUnknownKey(user, `unknown-${Math.floor(choice * 1e9)}`));
    if (kind !== 'bad credential') return bearer(await people.token(user));
    const bad = people.badTokens();
    if (choice < 0.1) return [];
    if (choice < 0.2) return ['X-Api-Key', `wrong-${botKey(0)}`];
    if (choice < 0.3) return [...bearer(await people.token(user)), ...bearer(bad[0] as string)];
    return bearer(bad[Math.floor(choice * 1e6) % bad.length] as string);
  }
}
