import assert from 'node:assert/strict';
import { connect, createServer, type Http2Server, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { NO_REQUEST_TRAILERS } from '../support/envoy-filters.ts';
import { toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

interface Arrived {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: readonly string[];
}

/** A backend that speaks HTTP/2 and tells what trailers it got. */
async function startHttp2(seen: Arrived[]): Promise<Http2Server> {
  const server = createServer();
  server.on('stream', (stream, headers) => {
    let body = '';
    let trailers: string[] = [];
    stream.setEncoding('utf8').on('data', (text: string) => (body += text));
    stream.on('trailers', (fields) => (trailers = Object.keys(fields)));
    stream.on('end', () => {
      seen.push({ headers, body, trailers });
      stream.respond({ ':status': 200, 'content-type': 'application/json' });
      stream.end('{"jsonrpc":"2.0","id":1,"result":{}}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/** Headers are decided about before the body; what comes after it must not say more. */
describe('request trailers of HTTP/2 clients', () => {
  const seen: Arrived[] = [];
  let issuer: FakeIssuer;
  let backend: Http2Server;
  let stack: Stack;

  before(async () => {
    issuer = await startIssuer();
    backend = await startHttp2(seen);
    const { port } = backend.address() as AddressInfo;
    const route = (origin: string, name: string, more: object) => ({
      prefix: `/${name}/mcp`,
      port,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp'],
        outgoingAuth: { type: 'claim_injection' },
        ...more,
      },
    });
    stack = await startStack({
      extProc: true,
      http2Backends: true,
      filters: [NO_REQUEST_TRAILERS],
      config: { incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } } },
      routes: (origin) => [
        route(origin, 'plain', {}),
        route(origin, 'tools', { tools: { delete_repo: { deny: true } } }),
        route(origin, 'meta', { identityPropagation: { mode: 'meta' } }),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await new Promise((resolve) => backend?.close(resolve));
    await issuer?.stop();
  });

  const call = async (name: string, body: string): Promise<number> => {
    const session = connect(stack.origin);
    try {
      const token = await issuer.token({ aud: `${stack.origin}/${name}/mcp`, sub: 'alice' });
      const stream = session.request(
        {
          ':method': 'POST',
          ':path': `/${name}/mcp`,
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
        },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () =>
        stream.sendTrailers({ 'x-user-sub': 'root', authorization: 'Bearer x', x_user_sub: 'root' }),
      );
      stream.end(body);
      return await new Promise((resolve, reject) => {
        stream.on('response', (answer) => resolve(Number(answer[':status'])));
        stream.on('error', reject);
      });
    } finally {
      session.destroy();
    }
  };

  for (const name of ['plain', 'tools', 'meta'])
    it(`do not reach a backend that speaks HTTP/2, route ${name}`, async () => {
      seen.length = 0;
      assert.equal(await call(name, JSON.stringify(toolCall('x'))), 200);
      const [arrived] = seen;
      assert.equal(arrived?.headers['x-user-sub'], 'alice');
      assert.equal(JSON.parse(arrived.body).method, 'tools/call');
      assert.deepEqual(arrived.trailers, []);
    });

  it('do not make a denied call pass', async () => {
    seen.length = 0;
    assert.equal(await call('tools', JSON.stringify(toolCall('delete_repo'))), 403);
    assert.equal(seen.length, 0);
  });
});
