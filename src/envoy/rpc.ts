import type { MaybePromise } from '../core/maybe-promise.ts';
import type { CallMetadata } from '../core/trace-context.ts';
import type { GrpcTls } from './grpc-tls.ts';

/** The gRPC statuses that we send (https://grpc.io/docs/guides/status-codes/). */
export const RPC_STATUS = {
  OK: 0,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
} as const;

export type RpcStatus = (typeof RPC_STATUS)[keyof typeof RPC_STATUS];

/** Ends a call with a status; the text is for the peer. Any other exception of a handler is INTERNAL and tells nothing. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: RpcStatus;
  constructor(code: RpcStatus, details: string) {
    super(details);
    this.code = code;
  }
}

/** What a handler may know of a call with one request and one answer. */
export interface RpcCall {
  /** Aborted when the peer gives the call up, just before its deadline passes, or when the connection ends. */
  readonly signal: AbortSignal;
  /** The connection it came on. */
  readonly peer: string;
  readonly metadata: CallMetadata;
}

/** One request, one answer; bytes, because decoding is the handler's affair. */
export type UnaryHandler = (request: Buffer, call: RpcCall) => MaybePromise<Buffer>;

/** Where the handler of a stream writes to. After `end`, `fail` or `Inlet.closed` nothing more is sent. */
export interface Outlet {
  send(message: Buffer): void;
  /** Ends the stream well. */
  end(): void;
  fail(code: RpcStatus, details: string): void;
}

/** Where the messages of a stream go. Messages wait while the peer does not take our answers. */
export interface Inlet {
  message(bytes: Buffer): void;
  /** The peer has said all. */
  end(): void;
  /** The stream is over, however it ended; called once. */
  closed(): void;
}

export type StreamHandler = (outlet: Outlet, metadata: CallMetadata) => Inlet;

export type RpcMethod =
  | { readonly kind: 'unary'; readonly handle: UnaryHandler }
  | { readonly kind: 'stream'; readonly handle: StreamHandler };

/** Handlers by path, `/package.Service/Method`. */
export type RpcMethods = ReadonlyMap<string, RpcMethod>;

export interface ListenOptions {
  /** `host:port` or `unix:/path`. */
  readonly address: string;
  readonly tls: GrpcTls | undefined;
  /** Largest message accepted, in bytes; Envoy sends bodies inside. */
  readonly maxMessage: number;
}

export interface RunningServer {
  /** The address it really listens on: port 0 is replaced. */
  readonly address: string;
  /** Takes no new calls, lets those in flight finish, cuts what is left after `limitMs`. */
  drain(limitMs: number): Promise<void>;
}
