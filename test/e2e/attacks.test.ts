import assert from 'node:assert/strict';
import { connect as connectHttp2, type OutgoingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

const DELETE_REPO = JSON.stringify(toolCall('delete_repo'));

describe('attacks on one request: spelling, framing, methods', () => {
  let issuer: FakeIssuer;
  let stack: Stack;

  before(async () => {
    issuer = await startIssuer();
    const route = (origin: string, name: string, more: object) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp', 'ci', 'guest'],
        outgoingAuth: { type: 'claim_injection' },
        ...more,
      },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: {
          corp: { type: 'jwt', issuer: issuer.issuer },
          ci: { type: 'api_key', keys: [{ id: 'k', sha256: '0'.repeat(64), subject: 'bot' }] },
          guest: { type: 'anonymous' },
        },
      },
      routes: (origin) => [
        route(origin, 'plain', {}),
        route(origin, 'tools', { tools: { delete_repo: { deny: true } } }),
        route(origin, 'meta', { identityPropagation: { mode: 'both' } }),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
  });

  /** Exactly these lines on a connection of its own; gives the status line of the answer. */
  const raw = (lines: readonly string[], body = ''): Promise<string> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(stack.origin);
      let answer = '';
      const socket = connect(Number(port), hostname, () =>
        socket.write(Buffer.from([...lines, 'Connection: close', '', body].join('\r\n'), 'latin1')),
      );
      socket.setTimeout(10_000, () => socket.destroy(new Error('no answer in time')));
      socket.on('data', (bytes: Buffer) => (answer += bytes.toString('latin1')));
      socket.on('close', () => resolve(answer.split('\r\n')[0] as string));
      socket.on('error', reject);
    });
  const post = (path: string, headers: readonly string[], body = JSON.stringify(toolCall('x'))) =>
    raw(
      [
        `POST ${path} HTTP/1.1`,
        'Host: x',
        'Content-Type: application/json',
        `Content-Length: ${body.length}`,
        ...headers,
      ],
      body,
    );
  const http2 = (headers: OutgoingHttpHeaders, body?: string, trailers?: OutgoingHttpHeaders): Promise<number> =>
    new Promise((resolve, reject) => {
      const session = connectHttp2(stack.origin).on('error', reject);
      const stream = session.request(headers, {
        endStream: body === undefined,
        waitForTrailers: trailers !== undefined,
      });
      if (trailers) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      stream.on('response', (answer) => {
        session.close();
        stream.resume();
        resolve(Number(answer[':status']));
      });
      stream.on('error', reject);
      if (body !== undefined) stream.end(body);
    });
  const identityHeaders = () =>
    Object.keys(stack.backend.last().headers).filter((name) => /user[^-]|sub|authorization|forwarded.user/.test(name));

  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'GET', 'OPTIONS', 'HEAD', 'PURGE']) {
    it(`a denied tool stays denied under ${method}, with a length, chunked and over HTTP/2`, async () => {
      const start = [`${method} /tools/mcp HTTP/1.1`, 'Host: x', 'Content-Type: application/json'];
      const size = DELETE_REPO.length;
      assert.match(await raw([...start, `Content-Length: ${size}`], DELETE_REPO), / 403 /);
      const chunks = `${size.toString(16)}\r\n${DELETE_REPO}\r\n0\r\n\r\n`;
      assert.match(await raw([...start, 'Transfer-Encoding: chunked'], chunks), / 403 /);
      const headers = { ':method': method, ':path': '/tools/mcp', 'content-type': 'application/json' };
      assert.equal(await http2(headers, DELETE_REPO), 403);
      assert.equal(stack.backend.seen.length, 0);
    });
  }

  it('methods that other servers give a meaning, and bodies that are announced and empty, are refused', async () => {
    const start = ['Host: x', 'Content-Type: application/json'];
    for (const method of ['TRACE', 'POST', 'PUT', 'PROPFIND'])
      assert.match(await raw([`${method} /tools/mcp HTTP/1.1`, ...start]), / 400 /, method);
    assert.match(await raw(['POST /tools/mcp HTTP/1.1', ...start, 'Transfer-Encoding: chunked'], '0\r\n\r\n'), / 400 /);
    assert.match(await raw(['POST /meta/mcp HTTP/1.1', ...start, 'Transfer-Encoding: chunked'], '0\r\n\r\n'), / 400 /);
    assert.equal(stack.backend.seen.length, 0);
  });

  it('Expect: 100-continue changes nothing', async () => {
    assert.match(await post('/tools/mcp', ['Expect: 100-continue'], DELETE_REPO), /100 Continue|403/);
    assert.equal(stack.backend.seen.length, 0);
  });

  it('no spelling of an identity header gets through, and no copy', async () => {
    const names = ['X-User-Sub', 'x_user_sub', 'X_USER-SUB', 'X-User-Sub_', 'X.User.Sub', 'X-User~Sub', 'x-user-sub'];
    const headers = [...names, 'X_Forwarded_User_Id', 'X-Forwarded-User-Id', 'Authorization_'].map(
      (name) => `${name}: root`,
    );
    assert.match(await post('/plain/mcp', headers), / 200 /);
    assert.deepEqual(identityHeaders(), []);
    assert.match(await post('/meta/mcp', headers), / 200 /);
    assert.deepEqual(identityHeaders(), []);
  });

  it('neither do folded lines, names with a space, trailers of HTTP/1', async () => {
    await post('/plain/mcp', ['X-Trace: a', ' X-User-Sub: root']);
    await post('/plain/mcp', ['X-User-Sub : root']);
    const call = JSON.stringify(toolCall('x'));
    await raw(
      ['POST /plain/mcp HTTP/1.1', 'Host: x', 'Content-Type: application/json', 'Transfer-Encoding: chunked'],
      `${call.length.toString(16)}\r\n${call}\r\n0\r\nX-User-Sub: root\r\n\r\n`,
    );
    for (const { rawHeaders } of stack.backend.seen) assert.ok(!/root/.test(rawHeaders.join('\n')));
  });

  it('headers nominated in Connection are gone before we look, and bodies are still judged by their type', async () => {
    const nominated = 'Connection: x-user-sub, mcp-session-id, origin, content-length';
    assert.match(await post('/plain/mcp', [nominated, 'X-User-Sub: root', 'Mcp-Session-Id: s']), / 200 /);
    assert.deepEqual(identityHeaders(), []);
    assert.equal(stack.backend.last().headers['mcp-session-id'], undefined);
    assert.match(await post('/tools/mcp', ['Connection: content-type']), / 415 /);
  });

  // An empty copy is one that Envoy leaves out when it joins.
  it('two Authorization headers are two credentials, also where guests are welcome', async () => {
    const token = await issuer.token({ aud: `${stack.origin}/plain/mcp` });
    for (const more of [`Bearer ${token}`, 'Basic YTpi', 'x']) {
      assert.match(
        await post('/plain/mcp', [`Authorization: Bearer ${token}`, `Authorization: ${more}`]),
        / 400 /,
        more,
      );
    }
    for (const lone of ['', 'Bearer', 'Bearer\tabc', `Bearer\u00a0${token}`, `"Bearer" ${token}`])
      assert.match(await post('/plain/mcp', [`Authorization: ${lone}`]), / 400 /, lone);
    assert.match(await post('/plain/mcp', ['X-Api-Key: ']), / 400 /);
    assert.equal(stack.backend.seen.length, 0);
  });

  it('request ids cannot part a request from its plan', async () => {
    for (const header of [
      'X-Request-Id: a\r\nX-Request-Id: b',
      'X-Request-Id: \xe9"',
      'X-Request-Id: ',
      'X_Request_Id: a',
    ]) {
      assert.match(
        await post('/meta/mcp', [header], '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"user":1}}}'),
        / 200 /,
      );
      assert.deepEqual(JSON.parse(stack.backend.last().body.toString()).params._meta, {});
    }
  });

  for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    it(`${key} means nothing as a tool, a claim or a header`, async () => {
      const token = await issuer.tokenOf(
        `{"iss":"${issuer.issuer}","sub":"alice","aud":"${stack.origin}/tools/mcp","exp":${Math.floor(Date.now() / 1000) + 60},"${key}":{"sub":"root","scope":"x","isAdmin":true}}`,
      );
      const answer = await rpc(`${stack.origin}/tools/mcp`, toolCall(key), [
        'Authorization',
        `Bearer ${token}`,
        key,
        'x',
      ]);
      assert.equal(answer.status, 200, answer.body);
      assert.equal(stack.backend.last().headers['x-user-sub'], 'alice');
    });
  }

  it('a member that becomes the prototype of some backend’s objects is refused', async () => {
    for (const body of [
      '{"jsonrpc":"2.0","id":1,"method":"ping","__proto__":{"method":"tools/call","params":{"name":"delete_repo"}}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","__proto__":{"name":"delete_repo"}}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","\\u005f_proto__":{"name":"delete_repo"}}}',
    ])
      assert.equal((await rpc(`${stack.origin}/tools/mcp`, body)).status, 400, body);
    assert.equal(stack.backend.seen.length, 0);
  });

  // Express and raw-body decode by `charset`, UTF-7 and UTF-16 included: what we read as `+AGQ-elete_repo` is `delete_repo` to them.
  for (const type of [
    'application/json; charset=utf-7',
    'application/json; charset=utf-16le',
    'application/json; charset=utf-8; charset=utf-7',
    'application/json; a="; charset=utf-8"; charset=utf-7',
    'application/json; charset="utf-8"; Charset="utf\\-7"',
    "application/json; charset*=us-ascii''utf-7",
    'application/json, text/plain',
    'application/json; charset=utf-8, application/json; charset=utf-7',
  ]) {
    it(`a body may be read in no other charset than UTF-8: ${type}`, async () => {
      const body = DELETE_REPO.replace('delete', '+AGQ-elete');
      for (const path of ['/tools/mcp', '/meta/mcp']) {
        const answer = await send(stack.origin + path, { method: 'POST', headers: ['Content-Type', type], body });
        assert.equal(answer.status, 415, `${path} ${answer.body}`);
      }
      assert.equal(stack.backend.seen.length, 0);
    });
  }
});
