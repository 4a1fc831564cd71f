import { Agent, request } from 'node:http';

export interface Outgoing {
  readonly method: string;
  readonly path: string;
  /** Name, value, name, value. */
  readonly headers: readonly string[];
  readonly body?: string;
  /** Hang up after so many milliseconds, whatever has come by then. */
  readonly hangUpMs?: number;
}

export interface Answered {
  /** 0: there was none. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** Why it did not come to its end. */
  readonly broken?: string;
  readonly hungUp?: true;
  readonly endMs: number;
}

const LIMIT_MS = 30_000;

/** Calls over kept connections, as MCP clients make them. */
export class Client {
  /** Calls made again because a kept connection had been closed at that moment (Node's `reusedSocket`). */
  reconnects = 0;
  readonly #origin: URL;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256, maxFreeSockets: 64 });

  constructor(origin: string) {
    this.#origin = new URL(origin);
  }

  /** Never rejects. */
  async call(outgoing: Outgoing): Promise<Answered> {
    const first = await this.#once(outgoing);
    if (!first.again) return first.answer;
    this.reconnects++;
    return (await this.#once(outgoing, false)).answer;
  }

  #once(
    { method, path, headers, body, hangUpMs }: Outgoing,
    agent: Agent | false = this.#agent,
  ): Promise<{ answer: Answered; again: boolean }> {
    return new Promise((resolve) => {
      let status = 0;
      let answered: Answered['headers'] = {};
      let text = '';
      let hungUp = false;
      const timers: NodeJS.Timeout[] = [];
      const end = (broken?: string, again = false) => {
        for (const timer of timers) clearTimeout(timer);
        const answer = { status, headers: answered, body: text, endMs: Date.now() };
        resolve({
          answer: { ...answer, ...(hungUp ? { hungUp: true } : broken !== undefined && { broken }) },
          again,
        });
      };
      const outgoing = request(
        {
          host: this.#origin.hostname,
          port: this.#origin.port,
          method,
          path,
          agent,
          setHost: false,
          headers: [
            'Host',
            this.#origin.host,
            ...headers,
            ...(body === undefined ? [] : ['Content-Length', String(Buffer.byteLength(body))]),
          ] as never,
        },
        (response) => {
          status = response.statusCode ?? 0;
          answered = response.headers;
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () => end());
          response.on('error', (error) => end(error.message));
        },
      );
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        const stale = outgoing.reusedSocket && status === 0 && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        end(error.message, stale && !hungUp);
      });
      const after = (ms: number, act: () => void) => timers.push(setTimeout(act, ms));
      after(LIMIT_MS, () => outgoing.destroy(new Error('no end in time')));
      if (hangUpMs !== undefined)
        after(hangUpMs, () => {
          hungUp = true;
          outgoing.destroy(new Error('hung up'));
        });
      outgoing.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
