import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Log } from '../core/ports.ts';
import type { CallMetadata } from '../core/trace-context.ts';
import { answerWithinMs } from './deadline.ts';
import { MessageReader, readTimeout } from './grpc-frames.ts';
import { cut, cutLater, Reply } from './grpc-reply.ts';
import { RPC_STATUS, type RpcCall, RpcError, type RpcMethods, type StreamHandler, type UnaryHandler } from './rpc.ts';

export interface CallLimits {
  /** Largest message that is read, in bytes. */
  readonly maxMessage: number;
  /** How long a unary call may take whose peer names no shorter time, answer included; in milliseconds. */
  readonly unaryMs: number;
  /** How long a call that has ended early may stay open for the peer to notice, in milliseconds. */
  readonly leaveMs: number;
  /** How long one message of a stream may take to arrive, or to be taken; in milliseconds. */
  readonly messageMs: number;
}

/** Answers one HTTP/2 stream as a gRPC call. */
export function answerCall(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  methods: RpcMethods,
  limits: CallLimits,
  log: Log,
): void {
  stream.on('error', () => {}); // 'close' follows, and is where calls end
  // Node keeps a stream that was reset with NO_ERROR until somebody reads it to its end, and takes that for a good one.
  // Not at once: a reset of ours has to leave first.
  stream.on('aborted', () => setImmediate(() => stream.destroy()));
  if (stream.closed) return void stream.destroy();
  if (headers[':method'] !== 'POST') return refuse(stream, 405, limits.leaveMs);
  if (!/^application\/grpc(?:[+;]|$)/.test(headers['content-type'] ?? '')) return refuse(stream, 415, limits.leaveMs);
  const reply = new Reply(stream, limits.leaveMs);
  try {
    const method = methods.get(headers[':path'] ?? '');
    if (!method) throw new RpcError(RPC_STATUS.UNIMPLEMENTED, 'there is no such method');
    const timeout = headers['grpc-timeout'];
    const timeoutMs = timeout === undefined ? undefined : readTimeout(String(timeout));
    if (method.kind === 'unary') answerUnary(reply, method.handle, headers, timeoutMs, limits, log);
    else answerStream(reply, method.handle, headers, timeoutMs, limits, log);
  } catch (error) {
    reply.failWith(error, log);
  }
}

function refuse(stream: ServerHttp2Stream, status: number, leaveMs: number): void {
  stream.respond({ ':status': status }, { endStream: true });
  cutLater(stream, leaveMs);
}

function answerUnary(
  reply: Reply,
  handle: UnaryHandler,
  headers: IncomingHttpHeaders,
  timeoutMs: number | undefined,
  { maxMessage, unaryMs }: CallLimits,
  log: Log,
): void {
  const { stream } = reply;
  const reader = new MessageReader(maxMessage);
  const call = new Call(stream, headers);
  let request: Buffer | undefined;
  const late = (): void => {
    call.abort();
    if (reply.ended)
      cut(stream); // the answer is not taken
    else reply.fail(RPC_STATUS.DEADLINE_EXCEEDED, 'deadline exceeded');
  };
  const limitMs = Math.min(timeoutMs ?? unaryMs, unaryMs);
  const answerMs = answerWithinMs(limitMs);
  let timer = setTimeout(() => {
    if (limitMs - answerMs < 1) return late();
    timer = setTimeout(late, limitMs - answerMs);
    if (!reply.ended) call.abort();
  }, answerMs);
  const answer = (bytes: Buffer): void => reply.finish(bytes);
  const fail = (error: unknown): void => {
    request = undefined;
    reply.failWith(error, log);
  };

  stream.on('data', (chunk: Buffer) => {
    if (reply.ended) return;
    try {
      reader.add(chunk);
      for (let message = reader.next(); message; message = reader.next()) {
        if (request) throw new RpcError(RPC_STATUS.UNIMPLEMENTED, 'more than one request message');
        request = message;
      }
    } catch (error) {
      fail(error);
    }
  });
  stream.on('end', () => {
    if (reply.ended) return;
    try {
      if (reader.incomplete) throw new RpcError(RPC_STATUS.INTERNAL, 'the request message is cut off');
      if (!request) throw new RpcError(RPC_STATUS.UNIMPLEMENTED, 'no request message');
      const response = handle(request, call);
      if (response instanceof Promise) response.then(answer, fail);
      else answer(response);
    } catch (error) {
      fail(error);
    }
  });
  stream.on('close', () => {
    clearTimeout(timer);
    if (!reply.ended) call.abort();
  });
}

class Call implements RpcCall {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  #aborter: AbortController | undefined;
  #aborted = false;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.#stream = stream;
    this.#headers = headers;
  }

  get metadata(): CallMetadata {
    return metadataOf(this.#headers);
  }

  get signal(): AbortSignal {
    this.#aborter ??= new AbortController();
    if (this.#aborted) this.abort();
    return this.#aborter.signal;
  }

  get peer(): string {
    const { remoteAddress, remotePort } = this.#stream.session?.socket ?? {};
    return `${remoteAddress}:${remotePort}`;
  }

  abort(): void {
    this.#aborted = true;
    this.#aborter?.abort(new Error('the call was cancelled or its deadline passed'));
  }
}

/** Node has joined the values of a name already. */
function metadataOf(headers: IncomingHttpHeaders): CallMetadata {
  return {
    get(name) {
      const value = headers[name];
      return value === undefined ? [] : [String(value)];
    },
  };
}

function answerStream(
  reply: Reply,
  handle: StreamHandler,
  headers: IncomingHttpHeaders,
  timeoutMs: number | undefined,
  { maxMessage, messageMs }: CallLimits,
  log: Log,
): void {
  const { stream } = reply;
  const reader = new MessageReader(maxMessage);
  const fail = (error: unknown): void => reply.failWith(error, log);
  const late = (): void => reply.fail(RPC_STATUS.DEADLINE_EXCEEDED, 'deadline exceeded');
  const deadline = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
  let arriving: NodeJS.Timeout | undefined;
  let taking: NodeJS.Timeout | undefined;

  const inlet = handle(
    {
      send(message) {
        if (reply.send(message) || taking) return;
        stream.pause();
        taking = setTimeout(() => cut(stream), messageMs);
      },
      end() {
        reply.finish();
        cutLater(stream, messageMs);
      },
      fail: (code, details) => reply.fail(code, details),
    },
    metadataOf(headers),
  );
  const guarded = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      fail(error);
    }
  };

  stream.on('drain', () => {
    clearTimeout(taking);
    taking = undefined;
    stream.resume();
  });
  stream.on('data', (chunk: Buffer) => {
    if (reply.ended) return;
    guarded(() => {
      reader.add(chunk);
      for (let message = reader.next(); message; message = reader.next()) {
        clearTimeout(arriving);
        arriving = undefined;
        inlet.message(message);
      }
      if (reader.incomplete) arriving ??= setTimeout(late, messageMs);
    });
  });
  stream.on('end', () => {
    if (reply.ended) return;
    if (reader.incomplete) reply.fail(RPC_STATUS.INTERNAL, 'a message is cut off');
    else guarded(() => inlet.end());
  });
  stream.on('close', () => {
    clearTimeout(deadline);
    clearTimeout(arriving);
    clearTimeout(taking);
    guarded(() => inlet.closed());
  });
}
