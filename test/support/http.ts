import { request } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly rawHeaders: readonly string[];
  readonly body: string;
  /** @throws when the body is no JSON */
  json(): any;
}

export interface Call {
  readonly method?: string;
  /** Name, value, name, value: spelling, order and copies are sent as they stand. */
  readonly headers?: readonly string[];
  readonly body?: string | Buffer;
  readonly limitMs?: number;
  /** Path and query exactly as they go over the wire; default those of the URL. */
  readonly target?: string;
  /** Where the call comes from: any of 127.0.0.0/8 on Linux. */
  readonly localAddress?: string;
}

/** One HTTP/1.1 request with full control over the header lines. */
export function send(url: string, call: Call = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const target = new URL(url);
    const body = call.body === undefined ? undefined : Buffer.from(call.body);
    const lines = ['Host', target.host, ...(call.headers ?? [])];
    const names = lines.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
    if (body && !names.includes('content-length') && !names.includes('transfer-encoding'))
      lines.push('Content-Length', String(body.length));
    const outgoing = request(
      // Raw header lines: Node takes a flat array and sends it unchanged.
      {
        host: target.hostname,
        port: target.port,
        path: call.target ?? target.pathname + target.search,
        method: call.method ?? 'GET',
        headers: lines as never,
        agent: false,
        setHost: false,
        ...(call.localAddress === undefined ? {} : { localAddress: call.localAddress }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers as Record<string, string>,
            rawHeaders: response.rawHeaders,
            body: text,
            json: () => JSON.parse(text),
          });
        });
      },
    );
    outgoing.setTimeout(call.limitMs ?? 15_000, () => outgoing.destroy(new Error(`no answer from ${url} in time`)));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** A JSON-RPC call as MCP clients send it; `headers` are added. */
export function rpc(url: string, message: unknown, headers: readonly string[] = []): Promise<Answer> {
  return send(url, {
    method: 'POST',
    headers: ['Content-Type', 'application/json', 'Accept', 'application/json, text/event-stream', ...headers],
    body: typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message),
  });
}

export const toolCall = (name: string, id: unknown = 1) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {} },
});
