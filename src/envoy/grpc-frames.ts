import { RPC_STATUS, RpcError } from './rpc.ts';

/** Compression flag and length before each message (gRPC over HTTP/2, Length-Prefixed-Message). */
const PREFIX_BYTES = 5;
/** The least that is set aside for a message that comes in pieces, in bytes. */
const FIRST_PIECE_BYTES = 4096;
const NOTHING = Buffer.alloc(0);

/** A message as it stands in DATA frames. */
export function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, PREFIX_BYTES);
  return frame;
}

/**
 * Cuts DATA into messages: `add` a chunk, then take messages with `next` until there is none. What comes in pieces is
 * copied into one buffer that grows with what has arrived, never with what was announced; the chunks themselves, each
 * a window into what the socket read, are not kept.
 */
export class MessageReader {
  readonly #maxMessage: number;
  /** Bytes not taken yet. */
  #unread: Buffer = NOTHING;
  /** Backs `#unread` while a message is incomplete; has room behind it. */
  #pieces: Buffer | undefined;

  /** @param maxMessage bytes */
  constructor(maxMessage: number) {
    this.#maxMessage = maxMessage;
  }

  /** A message has begun and is not complete. */
  get incomplete(): boolean {
    return this.#unread.length > 0;
  }

  add(chunk: Buffer): void {
    this.#unread = this.#unread.length === 0 ? chunk : this.#append(chunk);
  }

  /**
   * @returns undefined when no complete message is there
   * @throws RpcError when what follows is none that we read
   */
  next(): Buffer | undefined {
    const unread = this.#unread;
    if (unread.length >= PREFIX_BYTES) {
      if (unread[0] === 1) throw new RpcError(RPC_STATUS.UNIMPLEMENTED, 'compressed messages are not read');
      if (unread[0] !== 0) throw new RpcError(RPC_STATUS.INTERNAL, 'no gRPC message');
      const end = PREFIX_BYTES + unread.readUInt32BE(1);
      if (end - PREFIX_BYTES > this.#maxMessage)
        throw new RpcError(RPC_STATUS.RESOURCE_EXHAUSTED, `a message is larger than ${this.#maxMessage} bytes`);
      if (end <= unread.length) {
        this.#unread = end === unread.length ? NOTHING : unread.subarray(end);
        this.#pieces = undefined; // the message is a view of it
        return unread.subarray(PREFIX_BYTES, end);
      }
    }
    if (unread.length > 0 && !this.#pieces) {
      this.#unread = NOTHING;
      this.#unread = this.#append(unread);
    }
    return undefined;
  }

  #append(chunk: Buffer): Buffer {
    const { length } = this.#unread;
    const needed = length + chunk.length;
    if (!this.#pieces || needed > this.#pieces.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(FIRST_PIECE_BYTES, 2 * needed));
      this.#unread.copy(larger);
      this.#pieces = larger;
    }
    chunk.copy(this.#pieces, length);
    return this.#pieces.subarray(0, needed);
  }
}

const UNIT_MS = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 } as const;
/** What a timer of Node can wait for, in milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * `grpc-timeout` in milliseconds.
 * @throws RpcError when it is malformed
 */
export function readTimeout(header: string): number {
  const [, amount, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  if (amount === undefined) throw new RpcError(RPC_STATUS.INTERNAL, 'invalid grpc-timeout');
  return Math.min(Math.ceil(Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS]), LONGEST_MS);
}

/** The value of `grpc-message`: everything but printable ASCII, and `%`, becomes `%XX`. */
export function statusMessage(details: string): string {
  return details.toWellFormed().replace(/[^ -$&-~]+/g, encodeURIComponent);
}
