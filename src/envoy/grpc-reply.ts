import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Log } from '../core/ports.ts';
import { framed, statusMessage } from './grpc-frames.ts';
import { RPC_STATUS, RpcError, type RpcStatus } from './rpc.ts';

const RESPONSE = { ':status': 200, 'content-type': 'application/grpc+proto', 'grpc-accept-encoding': 'identity' };
const WITH_TRAILERS = { waitForTrailers: true };
const WELL = { 'grpc-status': '0' };

/** For peers that go on sending, or do not take the answer. */
export function cutLater(stream: ServerHttp2Stream, afterMs: number): void {
  const timer = setTimeout(() => cut(stream), afterMs);
  stream.once('close', () => clearTimeout(timer));
}

export function cut(stream: ServerHttp2Stream): void {
  stream.close(constants.NGHTTP2_CANCEL);
  setImmediate(() => stream.destroy()); // on a broken connection nobody else does
}

/** Our side of a call. Nothing is sent once it has ended, whoever ended it. */
export class Reply {
  readonly stream: ServerHttp2Stream;
  readonly #leaveMs: number;
  /** We have said all; it may still be on its way. */
  ended = false;
  #trailers: Record<string, string> = WELL;

  constructor(stream: ServerHttp2Stream, leaveMs: number) {
    this.stream = stream;
    this.#leaveMs = leaveMs;
    stream.on('wantTrailers', () => stream.sendTrailers(this.#trailers));
  }

  get #gone(): boolean {
    return this.ended || this.stream.destroyed || this.stream.closed;
  }

  /** @returns false when the peer takes no more for now */
  send(message: Buffer): boolean {
    if (this.#gone) return true;
    this.#begin();
    return this.stream.write(framed(message));
  }

  finish(message?: Buffer): void {
    if (this.#gone) return;
    this.ended = true;
    this.#begin();
    if (message) this.stream.end(framed(message));
    else this.stream.end();
  }

  fail(code: RpcStatus, details: string): void {
    if (this.#gone) return;
    this.ended = true;
    const trailers = { 'grpc-status': String(code), 'grpc-message': statusMessage(details) };
    if (this.stream.headersSent) {
      this.#trailers = trailers;
      this.stream.end();
    } else this.stream.respond({ ...RESPONSE, ...trailers }, { endStream: true });
    cutLater(this.stream, this.#leaveMs);
  }

  /** What a handler throws is a status, or a fault that is our own affair. */
  failWith(error: unknown, log: Log): void {
    if (error instanceof RpcError) return this.fail(error.code, error.message);
    log.error('a gRPC call failed', { error: error instanceof Error ? error.message : String(error) });
    this.fail(RPC_STATUS.INTERNAL, 'internal error');
  }

  #begin(): void {
    if (!this.stream.headersSent) this.stream.respond(RESPONSE, WITH_TRAILERS);
  }
}
