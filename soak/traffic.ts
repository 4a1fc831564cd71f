import { STREAM_EVENTS } from './backend.ts';
import type { Answered, Client } from './client.ts';
import type { Ledger } from './ledger.ts';
import type { People } from './people.ts';
import { Random } from './random.ts';
import { type Cast, type Draft, Requests, STATELESS } from './requests.ts';
import { Sessions } from './sessions.ts';

const TICK_MS = 10;
/** Of a hundred calls, those about sessions. */
const SESSIONS = 10;
/** More than this under way: the machine does not keep up, and calls are left out rather than piled up. */
const MOST_UNDER_WAY = 600;

/** Calls at a steady rate, whether or not the ones before have been answered (an open loop). */
export class Traffic {
  /** Calls that were due while too many were under way. */
  leftOut = 0;
  readonly #ledger: Ledger;
  readonly #client: Client;
  readonly #random: Random;
  readonly requests: Requests;
  readonly #sessions: Sessions;
  readonly #underWay = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #made = 0;

  constructor(parts: { ledger: Ledger; client: Client; people: People; cast: Cast; seed: number }) {
    this.#ledger = parts.ledger;
    this.#client = parts.client;
    this.#random = new Random(parts.seed);
    this.requests = new Requests(this.#random, parts.people, parts.cast);
    this.#sessions = new Sessions(this.#random, parts.people, this.requests);
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  start(perSecond: number): void {
    const startMs = performance.now();
    let due = 0;
    this.#timer = setInterval(() => {
      const until = ((performance.now() - startMs) / 1_000) * perSecond;
      for (; due < until; due++) {
        if (this.#underWay.size >= MOST_UNDER_WAY) this.leftOut++;
        else void this.#next();
      }
    }, TICK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** One call of an upstream tool. @returns the status */
  async upstream(draft: Draft): Promise<number> {
    return (await this.#make(draft)).status;
  }

  async #next(): Promise<void> {
    const isSession = this.#random.next() * 100 < SESSIONS;
    const kind = this.#random.weighted(STATELESS);
    // A user's clients often call several tools at once.
    const times = kind === 'upstream' && !isSession && this.#random.next() < 0.05 ? 4 : 1;
    const draft = isSession ? await this.#sessions.draft() : await this.requests.draft(kind);
    for (let i = 0; i < times; i++) {
      const made = this.#make(draft).then(
        () => {},
        (error: unknown) => this.#ledger.wrong('the load failed', draft.kind, String(error)),
      );
      this.#underWay.add(made);
      void made.finally(() => this.#underWay.delete(made));
    }
  }

  async #make(draft: Draft): Promise<Answered> {
    const { kind, name, credential, filler } = draft;
    const nonce = `n${++this.#made}`;
    const call = this.#ledger.begin({ nonce, kind, user: name, credential, filler });
    const answer = await this.#client.call(draft.outgoing(nonce));
    this.#ledger.ended(call, answer);
    if (answer.status === 200 && !answer.hungUp && answer.broken === undefined) this.#read(draft, nonce, answer);
    return answer;
  }

  /** Whose answer is it? */
  #read(draft: Draft, nonce: string, answer: Answered): void {
    const wrong = (what: string, detail: string) => this.#ledger.wrong(what, draft.kind, `${draft.name}: ${detail}`);
    if (draft.kind === 'session opened') {
      const fault = this.#sessions.opened(draft, answer);
      if (fault !== undefined) wrong(fault, String(answer.headers['mcp-session-id']));
    }
    const texts = draft.kind === 'stream' ? answer.body.split('\n\n').filter(Boolean) : [answer.body];
    if (draft.kind === 'stream' && texts.length !== STREAM_EVENTS) wrong('a stream without its end', answer.body);
    for (const text of texts) {
      const { result } = JSON.parse(text.replace(/^data: /, '')) as { result?: { nonce?: string; user?: string } };
      if (result?.nonce !== nonce || result.user !== draft.name) wrong('the answer of somebody else', text);
    }
  }
}
