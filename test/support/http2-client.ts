import { type ClientHttp2Session, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';

/** What became of one HTTP/2 request. */
export interface Seen {
  readonly status: number | undefined;
  readonly grpcStatus: string | undefined;
  readonly grpcMessage: string | undefined;
  readonly data: Buffer;
  /** Error code of a reset; 0 without. */
  readonly reset: number;
}

/** A gRPC message as it stands in DATA frames. */
export function grpcFrame(message: Buffer | string, flag = 0): Buffer {
  const bytes = Buffer.from(message);
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

export const GRPC_HEADERS: OutgoingHttpHeaders = {
  ':method': 'POST',
  'content-type': 'application/grpc',
  te: 'trailers',
};

export async function session(address: string): Promise<ClientHttp2Session> {
  const made = connect(`http://${address}`, { maxSessionMemory: 100 });
  made.on('error', () => {}); // tests look at what their streams say
  await new Promise((resolve) => made.once('remoteSettings', resolve));
  return made;
}

/**
 * One request, its DATA in the given chunks.
 * @param end what ends our side: END_STREAM on the last DATA, on trailers, a reset, or nothing
 */
export async function exchange(
  client: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  chunks: readonly Buffer[],
  end: 'data' | 'trailers' | 'nothing' = 'data',
): Promise<Seen> {
  const stream = client.request(headers, { endStream: false, waitForTrailers: end === 'trailers' });
  let head: IncomingHttpHeaders = {};
  let tail: IncomingHttpHeaders = {};
  const data: Buffer[] = [];
  stream.on('error', () => {}); // `reset` says it
  stream.on('response', (got) => (head = got));
  stream.on('trailers', (got) => (tail = got));
  stream.on('data', (bytes: Buffer) => data.push(bytes));
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-trailer': '1' }));
  const over = new Promise((resolve) => stream.once('end', resolve).once('close', resolve));
  for (const chunk of chunks) stream.write(chunk);
  if (end !== 'nothing') stream.end();
  await over;
  const of = (name: string) => (tail[name] ?? head[name]) as string | undefined;
  const reset = stream.rstCode ?? 0;
  stream.close();
  return {
    status: head[':status'] as number | undefined,
    grpcStatus: of('grpc-status'),
    grpcMessage: of('grpc-message'),
    data: Buffer.concat(data),
    reset,
  };
}
