import type { Answered } from './client.ts';
import type { Kind } from './kinds.ts';
import { nameOf, type People } from './people.ts';
import type { Random } from './random.ts';
import { type Draft, outgoing, type Requests, toolCall } from './requests.ts';

interface Open {
  readonly id: string;
  readonly user: number;
  readonly untilMs: number;
}

/** Sessions end before the key that sealed them is taken away. */
export const SESSION_MS = 25_000;
const MOST = 200;

/** The sessions that clients hold: opened, used, tried by others, closed. */
export class Sessions {
  readonly #random: Random;
  readonly #people: People;
  readonly #requests: Requests;
  #open: Open[] = [];

  constructor(random: Random, people: People, requests: Requests) {
    this.#random = random;
    this.#people = people;
    this.#requests = requests;
  }

  async draft(): Promise<Draft> {
    const random = this.#random;
    const now = Date.now();
    const over = this.#open.findIndex(({ untilMs }) => untilMs < now);
    const choice = random.next();
    if (over >= 0) return this.#closing(this.#open.splice(over, 1)[0] as Open);
    if (this.#open.length < 5 || (choice < 0.25 && this.#open.length < MOST)) return this.#opening();
    const session = random.one(this.#open);
    return choice < 0.4 ? this.#foreign(session) : this.#using(session);
  }

  /** What the answer to the opening of a session says. @returns what is wrong with it */
  opened(draft: Draft, answer: Answered): string | undefined {
    const id = answer.headers['mcp-session-id'];
    if (typeof id !== 'string') return 'no session id';
    if (id.includes('of-backend')) return 'the session id of the backend';
    this.#open.push({ id, user: draft.user, untilMs: Date.now() + SESSION_MS });
    return undefined;
  }

  #opening(): Promise<Draft> {
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'soak', version: '1' } };
    return this.#draft('session opened', this.#requests.anyone(), [], '', (nonce) => ({
      jsonrpc: '2.0',
      id: nonce,
      method: 'initialize',
      params,
    }));
  }

  #using({ id, user }: Open): Promise<Draft> {
    const filler = this.#requests.filler();
    return this.#draft('session used', user, ['Mcp-Session-Id', id], filler, (nonce) => toolCall(nonce, filler));
  }

  #foreign({ id, user }: Open): Promise<Draft> {
    const other = user === 0 ? 1 : user - 1;
    return this.#draft('foreign session', other, ['Mcp-Session-Id', id], 'x', (nonce) => toolCall(nonce, 'x'));
  }

  #closing({ id, user }: Open): Promise<Draft> {
    return this.#draft('session closed', user, ['Mcp-Session-Id', id], '');
  }

  async #draft(
    kind: Kind,
    user: number,
    more: readonly string[],
    filler: string,
    message?: (nonce: string) => object,
  ): Promise<Draft> {
    const token = await this.#people.token(user);
    const headers = ['Authorization', `Bearer ${token}`, ...more];
    return {
      kind,
      user,
      name: nameOf(user),
      credential: token,
      filler,
      outgoing: (nonce) => outgoing('session', message ? 'POST' : 'DELETE', nonce, headers, message?.(nonce)),
    };
  }
}
