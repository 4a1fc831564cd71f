import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { type HttpServer, sendJson, startHttp } from '../../../src/http/server.ts';
import { send } from '../../support/http.ts';
import { testTools } from '../authn/support.ts';

/** As the listener's own, a hundred times faster. */
const LIMITS = {
  maxHeaderSize: 32 * 1024,
  headersTimeout: 300,
  requestTimeout: 500,
  keepAliveTimeout: 500,
  connectionsCheckingInterval: 50,
};

describe('the HTTP listener, handled roughly', { timeout: 60_000 }, () => {
  const tools = testTools();
  const open = new Set<Socket>();
  let server: HttpServer;
  let url = '';

  before(async () => {
    server = await startHttp(
      '127.0.0.1:0',
      [
        (request, response, { pathname }) => {
          if (pathname !== '/ok') return false;
          sendJson(response, 200, { method: request.method });
          return true;
        },
      ],
      tools.log,
      LIMITS,
    );
    url = `http://${server.address}`;
  });
  after(() => server.close(0));
  afterEach(async () => {
    for (const socket of open) socket.destroy();
    open.clear();
    assert.equal((await send(`${url}/ok`)).status, 200, 'the next request is answered');
    assert.deepEqual(tools.lines, [], 'nobody can fill the log');
  });

  /** A connection that has sent `text`; what came back, once it is closed. */
  const sent = async (text: string): Promise<{ socket: Socket; closed: Promise<string> }> => {
    const socket = connect(Number(server.address.split(':')[1]), '127.0.0.1');
    open.add(socket);
    let answer = '';
    socket.setEncoding('latin1').on('data', (more: string) => (answer += more));
    socket.on('error', () => {}); // the other side may go first
    const closed = once(socket, 'close').then(() => answer);
    await once(socket, 'connect');
    socket.write(text);
    return { socket, closed };
  };
  const statusOf = (answer: string) => Number(answer.split(' ')[1]);

  for (const [what, head, status] of [
    ['a header of 40 KiB', `GET /ok HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
    ['10,000 headers', `GET /ok HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(10_000)}\r\n`, 431],
    ['a path of 40 KiB', `GET /${'x'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
    ['no HTTP at all', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['two lengths', 'POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx', 400],
    [
      'a length and chunks',
      'POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
  ] as const)
    test(`${what}: ${status}`, async () => {
      const { closed } = await sent(head);
      assert.equal(statusOf(await closed), status);
    });

  for (const target of ['//', 'http://', '//:0', '/\\'])
    test(`the target ${target} is no reason for a 500`, async () => {
      const { closed } = await sent(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      assert.ok([400, 404].includes(statusOf(await closed)));
    });

  for (const [what, text] of [
    ['that says nothing', ''],
    ['in the middle of a line', 'GET /ok HT'],
    ['in the middle of its headers', 'GET /ok HTTP/1.1\r\nHost: x\r\nX-A: '],
  ] as const)
    test(`a peer ${what} is cut off`, async () => {
      const { closed } = await sent(text);
      assert.ok(['', ' 408'].includes((await closed).slice(8, 12)));
    });

  test('a peer that sends a byte now and then, for ever, is cut off', async () => {
    const { socket, closed } = await sent('GET /ok HTTP/1.1\r\nHost: x\r\nX-A: ');
    const drip = setInterval(() => socket.write('x'), 20);
    await closed;
    clearInterval(drip);
  });

  test('a body without an end is cut off, though it was answered', async () => {
    const { socket, closed } = await sent('POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const drip = setInterval(() => socket.write('1\r\nx\r\n'), 20);
    assert.equal(statusOf(await closed), 200);
    clearInterval(drip);
  });

  test('500 of these at once: everybody else is answered meanwhile', async () => {
    const slow = await Promise.all(Array.from({ length: 500 }, (_, i) => sent(`GET /ok HTTP/1.1\r\nX-${i}: `)));
    const answers = await Promise.all(Array.from({ length: 200 }, () => send(`${url}/ok`)));
    assert.equal(answers.filter(({ status }) => status === 200).length, 200);
    await Promise.all(slow.map(({ closed }) => closed));
  });
});
