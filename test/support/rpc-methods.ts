import type { Patience } from '../../src/envoy/grpc-http2.ts';
import { RPC_STATUS, RpcError, type RpcMethod, type RpcMethods } from '../../src/envoy/rpc.ts';

/** Largest message that the servers of these tests take, in bytes. */
export const MAX_MESSAGE = 4 * 1024 * 1024;

export const ODD_TEXT = 'größer als 100 %\n\u{1f600}';

/** gRPC methods that behave in every way a handler may, and what became of the calls. */
export class TestMethods {
  /** Calls of `Hang` and of streams that are open. */
  open = 0;
  /** Messages that streams were given. */
  received = 0;
  aborts = 0;
  #watchers = new Set<() => void>();

  /** Resolves when `ready` holds after some event of a handler. */
  async until(ready: () => boolean): Promise<void> {
    if (ready()) return;
    await new Promise<void>((resolve) => {
      const look = () => {
        if (!ready()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
    });
  }

  #tell(): void {
    for (const look of this.#watchers) look();
  }

  readonly table: RpcMethods = new Map<string, RpcMethod>([
    ['/t.T/Echo', { kind: 'unary', handle: (request) => request }],
    ['/t.T/Later', { kind: 'unary', handle: (request) => new Promise((done) => setImmediate(done, request)) }],
    [
      '/t.T/Trace',
      {
        kind: 'unary',
        handle: (_request, { metadata }) =>
          Buffer.from(JSON.stringify(['traceparent', 'x-none'].map((name) => metadata.get(name)))),
      },
    ],
    [
      '/t.T/Throw',
      {
        kind: 'unary',
        handle: () => {
          throw new Error('secret');
        },
      },
    ],
    ['/t.T/Reject', { kind: 'unary', handle: () => Promise.reject(new Error('secret')) }],
    ['/t.T/Status', { kind: 'unary', handle: () => Promise.reject(new RpcError(RPC_STATUS.NOT_FOUND, ODD_TEXT)) }],
    [
      '/t.T/Hang',
      {
        kind: 'unary',
        handle: (_request, { signal }) =>
          new Promise((done) => {
            this.open++;
            this.#tell();
            signal.addEventListener('abort', () => {
              this.open--;
              this.aborts++;
              this.#tell();
              done(Buffer.from('too late'));
            });
          }),
      },
    ],
    ['/t.T/Never', { kind: 'unary', handle: () => new Promise(() => {}) }],
    ['/t.T/Slow', { kind: 'unary', handle: (request) => this.#released.then(() => request) }],
    [
      '/t.T/Stream',
      {
        kind: 'stream',
        handle: (outlet) => {
          this.open++;
          this.#tell();
          return {
            message: (bytes) => {
              this.received++;
              this.#tell();
              const word = bytes.length < 10 ? bytes.toString('latin1') : '';
              if (word === 'throw') throw new Error('secret');
              if (word === 'fail') outlet.fail(RPC_STATUS.NOT_FOUND, ODD_TEXT);
              if (word === 'end') outlet.end();
              outlet.send(bytes);
            },
            end: () => outlet.end(),
            closed: () => {
              this.open--;
              this.#tell();
            },
          };
        },
      },
    ],
  ]);

  /** Lets `Slow` answer. */
  release = (): void => {};
  readonly #released = new Promise<void>((resolve) => (this.release = resolve));
}

/** For tests to shorten. */
export const PATIENCE: Patience = {
  rereadMs: 10_000,
  greetingMs: 10_000,
  askEveryMs: 10_000,
  answerMs: 10_000,
  unaryMs: 60_000,
  messageMs: 60_000,
  leaveMs: 1_000,
};
