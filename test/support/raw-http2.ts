import { connect, type Socket } from 'node:net';

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** Frame types and flags of RFC 9113, section 6. */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  window: 8,
  more: 9,
};
export const END_STREAM = 1;
export const END_HEADERS = 4;

export function rawFrame(type: number, flags: number, stream: number, payload: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, bytes]);
}

/** Header fields, each as a literal that is not indexed (RFC 7541 6.2.2); names and values below 127 bytes. */
function fields(pairs: Readonly<Record<string, string>>): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'latin1')]);
  return Buffer.concat(Object.entries(pairs).flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

/** Header fields of a gRPC call. */
export const callFields = (path: string, more: Readonly<Record<string, string>> = {}): Buffer =>
  fields({
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'test',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...more,
  });

export interface SeenFrame {
  readonly type: number;
  readonly stream: number;
  /** Error code of a reset or goaway. */
  readonly code: number;
}

/** A peer that sends whatever bytes it likes. */
export class RawPeer {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  /** What has come since it was emptied last. */
  frames: SeenFrame[] = [];
  #unread = Buffer.alloc(0);
  #onFrames = () => {};

  constructor(address: string) {
    const [host, port] = address.split(':') as [string, string];
    this.socket = connect(Number(port), host);
    this.socket.on('error', () => {}); // being cut off is what some tests wait for
    this.socket.on('data', (bytes) => this.#read(bytes));
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
  }

  #read(bytes: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, bytes]);
    while (this.#unread.length >= 9) {
      const end = 9 + this.#unread.readUIntBE(0, 3);
      if (this.#unread.length < end) break;
      const [type, stream] = [this.#unread[3] as number, this.#unread.readUInt32BE(5)];
      const code =
        type === FRAME.reset ? this.#unread.readUInt32BE(9) : type === FRAME.goaway ? this.#unread.readUInt32BE(13) : 0;
      this.frames.push({ type, stream, code });
      this.#unread = this.#unread.subarray(end);
    }
    this.#onFrames();
  }

  /** The beginning of every connection. */
  greet(): this {
    return this.write(PREFACE, rawFrame(FRAME.settings, 0, 0));
  }

  write(...frames: readonly Buffer[]): this {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames));
    return this;
  }

  /** Resolves when such a frame has come; rejects when the connection closes before. */
  async frame(type: number, stream: number): Promise<SeenFrame> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.frames.find((frame) => frame.type === type && frame.stream === stream);
        if (found) resolve(found);
      };
      this.#onFrames = look;
      look();
      void this.closed.then(() => reject(new Error('the connection was closed')));
    });
  }

  /** All that was sent has been read. */
  async roundTrip(): Promise<void> {
    this.frames = [];
    this.write(rawFrame(FRAME.ping, 0, 0, '12345678'));
    await this.frame(FRAME.ping, 0);
  }
}
