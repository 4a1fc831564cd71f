import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Answer, rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

const TOOLS = [
  { name: 'echo', inputSchema: { type: 'object' } },
  { name: 'delete_repo', inputSchema: { type: 'object' } },
  { name: 'admin_reset', inputSchema: { type: 'object' } },
  { name: 'admin_help', inputSchema: { type: 'object' } },
];
const POLICY_TOOLS = { delete_repo: { scopes: ['repo:admin'] }, 'admin_*': { deny: true }, admin_help: {} };
const USER = ['echo', 'admin_help'];
const ADMIN = ['echo', 'delete_repo', 'admin_help'];

const result = (members: object = {}, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: '2.0', id, result: { tools: TOOLS, ...members } });
const names = (answer: { result: { tools: { name: string }[] } }) => answer.result.tools.map(({ name }) => name);
const NOTE = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"…"}}';

const listCall = (params?: object) => ({ jsonrpc: '2.0', id: 1, method: 'tools/list', ...(params ? { params } : {}) });
const MODERN_META = {
  _meta: {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 't', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  },
};
const ERAS = [
  { era: '2025-11-25', headers: ['Mcp-Protocol-Version', '2025-11-25'], params: {}, members: {} },
  {
    era: '2026-07-28',
    headers: ['Mcp-Protocol-Version', '2026-07-28', 'Mcp-Method', 'tools/list'],
    params: MODERN_META,
    members: { resultType: 'complete', ttlMs: 60_000, cacheScope: 'public' },
  },
] as const;

const json = (response: ServerResponse, body: string | Buffer, headers: Record<string, string> = {}) =>
  void response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(body);
const events = (response: ServerResponse, ...pieces: string[]) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  for (const piece of pieces) response.write(piece);
  response.end();
};
/** The messages of an event stream, as a client reads them. */
const messagesOf = (text: string) =>
  text
    .split('\n\n')
    .flatMap((event) => /^data: ?(.+)$/m.exec(event)?.[1] ?? [])
    .map((data) => JSON.parse(data));

describe('tools/list holds only what the caller may call', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  type Route = 'filtered' | 'meta' | 'open' | 'off';

  const url = (route: Route) => `${stack.origin}/${route}/mcp`;
  const bearer = async (route: Route, scope = 'mcp:read') => [
    'Authorization',
    `Bearer ${await issuer.token({ aud: url(route), sub: 'alice', scope })}`,
  ];
  const list = async (more: readonly string[] = [], route: Route = 'filtered', scope?: string): Promise<Answer> =>
    rpc(url(route), listCall(), [...more, ...(await bearer(route, scope))]);
  const refused = (answer: Answer, reason: 'unreadable' | 'too_large') => {
    assert.equal(answer.status, 502, answer.body);
    assert.equal(answer.json().id, 1);
    assert.equal(answer.json().error.code, -32005);
    assert.match(answer.json().error.message, reason === 'unreadable' ? /cannot be filtered/ : /too large/);
    assert.doesNotMatch(answer.body, /delete_repo|echo/);
  };

  before(async () => {
    issuer = await startIssuer();
    const route = (origin: string, name: Route, more: object) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp'],
        tools: POLICY_TOOLS,
        outgoingAuth: { type: 'unauthenticated' },
        ...more,
      },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer }, guest: { type: 'anonymous' } },
        session: { keys: [{ id: 'k1', key: Buffer.alloc(32, 1).toString('base64') }] },
      },
      routes: (origin) => [
        route(origin, 'filtered', { scopes: ['mcp:read'], filterLists: true }),
        route(origin, 'meta', {
          filterLists: true,
          identityPropagation: { mode: 'both' },
          session: { bind: true },
        }),
        route(origin, 'open', { incomingAuth: ['corp', 'guest'], filterLists: true }),
        route(origin, 'off', { identityPropagation: { mode: 'meta' } }),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
    stack.backend.respond = (_seen, response) => json(response, result());
  });

  for (const { era, headers, params, members } of ERAS) {
    for (const form of ['JSON', 'SSE'] as const) {
      for (const route of ['filtered', 'meta'] as const) {
        it(`${era}, ${form}, route ${route}: each caller sees their own`, async () => {
          stack.backend.respond = (_seen, response) =>
            form === 'JSON'
              ? json(response, result(members))
              : events(response, 'id: 1\ndata:\n\n', `data: ${NOTE}\n\n`, `id: 2\ndata: ${result(members)}\n\n`);
          for (const [scope, expected] of [
            ['mcp:read', USER],
            ['mcp:read repo:admin', ADMIN],
          ] as const) {
            const answer = await rpc(url(route), listCall(params), [...headers, ...(await bearer(route, scope))]);
            assert.equal(answer.status, 200, answer.body);
            const found = form === 'JSON' ? [answer.json()] : messagesOf(answer.body);
            assert.equal(found.length, form === 'JSON' ? 1 : 2);
            assert.deepEqual(names(found.at(-1)), expected);
            assert.equal(found.at(-1).result.cacheScope, era === '2026-07-28' ? 'private' : undefined);
            if (form === 'SSE') assert.match(answer.body, /^id: 1\ndata:\n\ndata: \{.*….*\n\nid: 2\ndata: /);
            if (route === 'meta')
              assert.equal(JSON.parse(stack.backend.last().body.toString()).params._meta.user.id, 'alice');
          }
        });
      }
    }

    it(`${era}: what is not listed cannot be called, whatever its spelling`, async () => {
      const modern = era === '2026-07-28';
      const calls: [body: string, name: string][] = [
        ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_repo"}}', 'delete_repo'],
        ['{"jsonrpc":"2.0","id":1,"method":"tools\\/call","params":{"n\\u0061me":"delete\\u005frepo"}}', 'delete_repo'],
        ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"admin_reset"}}', 'admin_reset'],
        [
          '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"admin_reset"}}',
          `=?base64?${Buffer.from('admin_reset').toString('base64')}?=`,
        ],
        ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"admin_reset"}}', 'echo'],
        ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"admin_reset"}}', 'echo'],
      ];
      for (const [body, name] of calls) {
        const extra = modern
          ? ['Mcp-Protocol-Version', '2026-07-28', 'Mcp-Method', 'tools/call', 'Mcp-Name', name]
          : headers;
        const answer = await rpc(url('filtered'), body, [...extra, ...(await bearer('filtered'))]);
        assert.ok([400, 403].includes(answer.status), `${body}: ${answer.status}`);
      }
      assert.equal(stack.backend.seen.length, 0);
      const allowed = modern ? [] : headers;
      assert.equal(
        (await rpc(url('filtered'), toolCall('admin_help'), [...allowed, ...(await bearer('filtered'))])).status,
        200,
      );
    });
  }

  it('the request may be spelled as it likes', async () => {
    for (const body of [
      '{"jsonrpc":"2.0","id":1,"method":"tools\\/list"}',
      '{"id":1,"\\u006dethod":"\\u0074ools/list","jsonrpc":"2.0"}',
      '{"jsonrpc":"2.0","method":"tools/list"}',
    ]) {
      const answer = await rpc(url('filtered'), body, await bearer('filtered'));
      assert.deepEqual(names(answer.json()), USER, body);
    }
    const other = await rpc(url('filtered'), listCall(), [
      'Mcp-Protocol-Version',
      '2026-07-28',
      'Mcp-Method',
      'tools/call',
      'Mcp-Name',
      'echo',
      ...(await bearer('filtered')),
    ]);
    assert.equal(other.status, 400, 'a header cannot make it another request');
    const put = await send(url('filtered'), {
      method: 'PUT',
      headers: ['Content-Type', 'application/json', ...(await bearer('filtered'))],
      body: JSON.stringify(listCall()),
    });
    assert.deepEqual(names(put.json()), USER);
    const get = await send(url('filtered'), {
      headers: ['Content-Type', 'application/json', ...(await bearer('filtered'))],
      body: JSON.stringify(listCall()),
    });
    assert.deepEqual(names(get.json()), USER);
  });

  it('a caller without an identity sees what needs none', async () => {
    assert.deepEqual(names((await rpc(url('open'), listCall())).json()), USER);
    assert.deepEqual(names((await list([], 'open', 'repo:admin')).json()), ADMIN);
  });

  it('off by default: the answer passes as it is, compressed if the client likes', async () => {
    stack.backend.respond = (_seen, response) => json(response, ` ${result()}`);
    const answer = await list(['Accept-Encoding', 'gzip'], 'off');
    assert.equal(answer.body, ` ${result()}`);
    assert.equal(stack.backend.last().headers['accept-encoding'], 'gzip');
  });

  it('every other byte stays: numbers, escapes, order, white space', async () => {
    const body = `{ "id":12345678901234567890, "result" : {\n "x":1e400,"tools":[ {"name":"\\u0065cho","d":"\\/"}, {"name":"delete_repo"} ], "nextCursor":"c\\u0031" }, "jsonrpc":"2.0"}\n`;
    stack.backend.respond = (_seen, response) => json(response, body, { etag: '"1"', 'x-kept': 'yes' });
    const answer = await list();
    assert.equal(answer.body, body.replace(', {"name":"delete_repo"}', ''));
    assert.equal(answer.headers['x-kept'], 'yes');
    assert.equal(answer.headers['etag'], undefined, 'it spoke of other bytes');
  });

  it('a list without caching hints is made private where the revision has them', async () => {
    const [older, modern] = ERAS;
    for (const [{ headers, params }, expected] of [
      [older, undefined],
      [modern, 'private'],
    ] as const) {
      const answer = await rpc(url('filtered'), listCall(params), [...headers, ...(await bearer('filtered'))]);
      assert.equal(answer.json().result.cacheScope, expected);
    }
  });

  it('pages: each is filtered, one may be empty, and cursors stay', async () => {
    const pages: Record<string, object> = {
      first: { tools: [TOOLS[1], TOOLS[2]], nextCursor: 'second' },
      second: { tools: [TOOLS[0], TOOLS[1]], nextCursor: 'third' },
      third: { tools: [TOOLS[2], TOOLS[3]] },
    };
    stack.backend.respond = (seen, response) => {
      const { params } = JSON.parse(seen.body.toString()) as { params?: { cursor?: string } };
      json(response, result(pages[params?.cursor ?? 'first']));
    };
    const found: unknown[] = [];
    for (let cursor: string | undefined = 'first'; cursor !== undefined; ) {
      const answer = await rpc(url('filtered'), listCall({ cursor }), await bearer('filtered'));
      found.push(names(answer.json()));
      cursor = answer.json().result.nextCursor;
    }
    assert.deepEqual(found, [[], ['echo'], ['admin_help']]);
  });

  it('tools whose name could be read in two ways go', async () => {
    const spelled = [
      '{"name":"delete\\u005frepo"}',
      '{"name":"echo","name":"delete_repo"}',
      '{"name":"echo","Name":"delete_repo"}',
      '{"\\u006eame":"admin_x"}',
      '{"name":"echo\\u0000"}',
      '"delete_repo"',
    ];
    stack.backend.respond = (_seen, response) =>
      json(response, `{"jsonrpc":"2.0","id":1,"result":{"tools":[${spelled.join(',')},{"name":"echo"}]}}`);
    assert.equal((await list()).body, '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}');
  });

  describe('an answer that cannot be read does not pass', () => {
    const bodies: [string, string | Buffer][] = [
      ['no JSON', 'delete_repo'],
      ['cut off', result().slice(0, -5)],
      ['a batch', `[${result()}]`],
      ['a list in another case', result().replace('"tools"', '"Tools"')],
      ['two lists', result().replace('"tools"', '"tools":[],"tools"')],
      ['two results', result().replace('"result"', '"result":{"tools":[]},"result"')],
      ['not UTF-8', Buffer.from(result().replace('echo', '\xff'), 'latin1')],
    ];
    for (const [name, body] of bodies) {
      it(`JSON: ${name}`, async () => {
        stack.backend.respond = (_seen, response) => json(response, body);
        refused(await list(), 'unreadable');
      });
      it(`SSE: ${name}`, async () => {
        stack.backend.respond = (_seen, response) => {
          response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`data: ${NOTE}\n\ndata: `);
          response.write(body);
          response.end('\n\n');
        };
        refused(await list(), 'unreadable');
      });
    }

    it('compressed, although it was not asked to be', async () => {
      stack.backend.respond = (_seen, response) => json(response, gzipSync(result()), { 'content-encoding': 'gzip' });
      refused(await list(['Accept-Encoding', 'gzip, br']), 'unreadable');
      assert.equal(stack.backend.last().headers['accept-encoding'], 'identity');
    });

    for (const type of ['text/plain', 'application/json; charset=utf-16', 'application/json, text/plain', ''])
      it(`type ${type || 'none'}`, async () => {
        stack.backend.respond = (_seen, response) =>
          void response.writeHead(200, type ? { 'content-type': type } : {}).end(result());
        refused(await list(), 'unreadable');
      });

    it('the audit says so', async () => {
      stack.backend.respond = (_seen, response) => json(response, '{');
      await list();
      const line = await stack.services[0]!.until(() =>
        stack.audit().findLast((entry) => entry.event === 'response' && entry.reason === 'list_unreadable'),
      );
      assert.equal(line.outcome, 'error');
      assert.equal(line['backend_status'], 200);
      assert.equal(line['subject'], 'alice');
    });
  });

  describe('large answers', () => {
    const large = (bytes: number) => result({ filler: 'f'.repeat(bytes) });
    const MIB = 1024 * 1024;

    for (const chunked of [false, true]) {
      const framing = chunked ? 'chunked' : 'with content-length';
      const respond = (body: string, type = 'application/json') => {
        stack.backend.respond = (_seen, response) => {
          response.writeHead(200, {
            'content-type': type,
            ...(chunked ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
          });
          response.write(body.slice(0, 10));
          setImmediate(() => response.end(body.slice(10)));
        };
      };
      it(`3 MiB ${framing}`, async () => {
        respond(large(3 * MIB));
        const answer = await list();
        assert.equal(answer.status, 200);
        assert.deepEqual(names(answer.json()), USER);
        assert.equal(answer.json().result.filler.length, 3 * MIB);
      });
      it(`more than maxBody ${framing}`, async () => {
        respond(large(4 * MIB));
        refused(await list(), 'too_large');
        respond(`data: ${large(4 * MIB)}\n\n`, 'text/event-stream');
        refused(await list(), 'too_large');
      });
    }
  });

  describe('what is no list passes', () => {
    for (const status of [400, 401, 404, 500, 503])
      it(`an answer with ${status}`, async () => {
        stack.backend.respond = (_seen, response) =>
          void response.writeHead(status, { 'content-type': 'text/plain', 'content-length': '2' }).end('no');
        const answer = await list();
        assert.equal(answer.status, status);
        assert.equal(answer.body, 'no');
      });

    it('202 without a body', async () => {
      stack.backend.respond = (_seen, response) => void response.writeHead(202).end();
      assert.equal((await list()).status, 202);
    });

    it('a JSON-RPC error', async () => {
      const body = '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}';
      stack.backend.respond = (_seen, response) => json(response, body);
      assert.equal((await list()).body, body);
    });

    it('answers to other methods, whatever they look like', async () => {
      stack.backend.respond = (_seen, response) => json(response, ` ${result()}`, { etag: '"1"' });
      const answer = await rpc(url('filtered'), toolCall('echo'), [
        'Accept-Encoding',
        'br',
        ...(await bearer('filtered')),
      ]);
      assert.equal(answer.body, ` ${result()}`);
      assert.equal(answer.headers['etag'], '"1"');
      assert.equal(stack.backend.last().headers['accept-encoding'], 'br');
    });
  });

  describe('event streams of GET, where answers may be replayed', () => {
    const get = async (more: readonly string[] = [], scope?: string) =>
      send(url('filtered'), {
        headers: ['Accept', 'text/event-stream', ...more, ...(await bearer('filtered', scope))],
      });

    it('a replayed list is filtered for who asks now', async () => {
      stack.backend.respond = (_seen, response) =>
        events(response, `id: 3\ndata: ${NOTE}\n\n`, `id: 4\ndata: ${result()}\n\n`, `id: 5\ndata: ${NOTE}\n\n`);
      for (const [scope, expected] of [
        ['mcp:read', USER],
        ['mcp:read repo:admin', ADMIN],
      ] as const)
        for (const more of [['Last-Event-ID', '2'], []]) {
          const answer = await get(more, scope);
          const found = messagesOf(answer.body);
          assert.equal(found.length, 3);
          assert.deepEqual(names(found[1]), expected);
          assert.match(answer.body, /^id: 3\ndata: .*\n\nid: 4\ndata: .*\n\nid: 5\ndata: .*\n\n$/);
        }
      assert.equal(stack.backend.last().headers['accept-encoding'], 'identity');
    });

    it('events go on as soon as they are whole, however they are cut', async () => {
      const text = Buffer.from(`data: ${NOTE}\r\n\r\ndata: ${result()}\r\n\r\n`);
      let sent: ServerResponse | undefined;
      stack.backend.respond = (_seen, response) => {
        sent = response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.flushHeaders();
      };
      const headers = Object.fromEntries([await bearer('filtered')]) as Record<string, string>;
      const answer = await fetch(url('filtered'), { headers, signal: AbortSignal.timeout(10_000) });
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
      let got = '';
      const gets = async (ready: () => boolean) => {
        while (!ready()) {
          const { value, done } = await reader.read();
          assert.ok(!done, got);
          got += value;
        }
      };
      const first = text.indexOf('data:', 1);
      for (let at = 0; at < first; at += 7) {
        sent!.write(text.subarray(at, Math.min(at + 7, first)));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await gets(() => got.endsWith('\r\n\r\n'));
      assert.equal(got, `data: ${NOTE}\r\n\r\n`, 'the stream is still open');
      for (let at = first; at < text.length; at += 50) {
        sent!.write(text.subarray(at, at + 50));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await gets(() => got.endsWith('}\r\n\r\n') && got.length > first + 20);
      assert.deepEqual(names(JSON.parse(got.slice(got.lastIndexOf('data: ') + 6))), USER);
      sent!.end();
      assert.ok((await reader.read()).done);
    });

    it('what cannot be read is left out, and the older transport’s endpoint with it', async () => {
      stack.backend.respond = (_seen, response) =>
        events(
          response,
          'event: endpoint\ndata: /messages?session=1\n\n',
          `data: [${result()}]\n\n`,
          `data: ${result().replace('"tools"', '"tools":[],"tools"')}\n\n`,
          `data: ${NOTE}\n\n`,
        );
      assert.equal((await get()).body, `data: ${NOTE}\n\n`);
    });

    it('compressed, or of a type that only resembles one: refused', async () => {
      stack.backend.respond = (_seen, response) =>
        void response
          .writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' })
          .end(gzipSync(`data: ${result()}\n\n`));
      assert.equal((await get()).status, 502);
      stack.backend.respond = (_seen, response) =>
        void response.writeHead(200, { 'content-type': 'text/event-stream, x' }).end(`data: ${result()}\n\n`);
      assert.equal((await get()).status, 502);
    });

    it('an event beyond maxBody ends the stream', async () => {
      stack.backend.respond = (_seen, response) =>
        events(response, `data: ${NOTE}\n\n`, `data: ${result({ filler: 'f'.repeat(5 * 1024 * 1024) })}\n\n`);
      const text = await get().then(
        (answer) => answer.body,
        () => 'cut',
      );
      assert.doesNotMatch(text, /delete_repo/);
    });

    it('405 and pages that are no streams pass', async () => {
      stack.backend.respond = (_seen, response) => void response.writeHead(405).end();
      assert.equal((await get()).status, 405);
      stack.backend.respond = (_seen, response) =>
        void response.writeHead(200, { 'content-type': 'text/html' }).end('<p>hello</p>');
      assert.equal((await get()).body, '<p>hello</p>');
    });
  });

  it('no stream is left open', async () => {
    const deadline = Date.now() + 5_000;
    for (;;) {
      const text = await stack.metrics();
      if (/mcp_identity_ext_proc_streams 0$/m.test(text)) return;
      assert.ok(Date.now() < deadline, /mcp_identity_ext_proc_streams \d+/.exec(text)?.[0]);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
});
