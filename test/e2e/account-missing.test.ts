import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Answer, rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { type Stack, startStack } from '../support/stack.ts';

const KEY = Buffer.alloc(32, 3).toString('base64');
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
const VERSION = 'io.modelcontextprotocol/protocolVersion';

/** Contract §5: what each kind of client hears when the user has not connected the account. */
describe('an account that is not connected', () => {
  let issuer: FakeIssuer;
  let provider: FakeProvider;
  let stack: Stack;

  before(async () => {
    issuer = await startIssuer();
    provider = await startProvider();
    const route = (origin: string, name: string, upstreamInject: object) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp'],
        outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'github', ...upstreamInject } },
        session: { bind: true },
      },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
        upstreamProviders: { github: { issuer: provider.issuer, clientId: 'c', clientAuth: 'none' } },
        vault: { keys: [{ id: 'v1', key: KEY }] },
        connect: { login: { issuer: issuer.issuer, clientId: 'login', clientAuth: 'none' }, cookieKeys: [KEY] },
        session: { keys: [{ id: 'k1', key: KEY }] },
      },
      routes: (origin) => [
        route(origin, 'auto', {}),
        route(origin, 'strict', { unconnected: 'deny' }),
        route(origin, 'elicit', { onMissing: 'elicit' }),
        route(origin, 'text', { onMissing: 'tool_error' }),
        route(origin, 'deny', { onMissing: 'deny' }),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
    await provider?.stop();
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
    stack.backend.respond = (seen, response) => {
      if (seen.headers['authorization'] === undefined && seen.headers['x-want-401']) response.writeHead(401).end('{}');
      else {
        const message = JSON.parse(seen.body.toString() || '{}') as { id?: unknown; method?: string };
        if (message.method === 'initialize') response.setHeader('mcp-session-id', 's-1');
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id ?? null, result: {} }));
      }
    };
  });

  const post = async (name: string, message: object, headers: readonly string[] = []): Promise<Answer> =>
    rpc(`${stack.origin}/${name}/mcp`, message, [
      'Authorization',
      `Bearer ${await issuer.token({ aud: `${stack.origin}/${name}/mcp` })}`,
      ...headers,
    ]);
  const modern = (
    name: string,
    method: string,
    params: object,
    capabilities: object = { elicitation: { url: {} } },
  ): Promise<Answer> => {
    const target = (params as { name?: string; uri?: string }).name ?? (params as { uri?: string }).uri;
    return post(
      name,
      {
        jsonrpc: '2.0',
        id: 'm',
        method,
        params: { ...params, _meta: { [VERSION]: '2026-07-28', [CAPABILITIES]: capabilities } },
      },
      [
        'Mcp-Protocol-Version',
        '2026-07-28',
        'Mcp-Method',
        method,
        ...(target === undefined ? [] : ['Mcp-Name', target]),
      ],
    );
  };
  const session = async (name: string, capabilities: object): Promise<readonly string[]> => {
    const answer = await post(name, {
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 't', version: '1' } },
    });
    assert.equal(answer.status, 200, answer.body);
    return ['Mcp-Session-Id', answer.headers['mcp-session-id'] as string, 'Mcp-Protocol-Version', '2025-11-25'];
  };
  const isLink = (url: unknown) =>
    assert.match(String(url), new RegExp(`^${stack.origin}/connect/github\\?ticket=[A-Za-z0-9_-]{50,}$`));
  const nothingPassed = () =>
    assert.equal(
      stack.backend.seen.some((seen) => seen.body.includes('tools/call')),
      false,
    );

  it('2026-07-28 with elicitation.url: input_required with one URL, on the three methods that may ask', async () => {
    for (const [method, params] of [
      ['tools/call', { name: 'x' }],
      ['prompts/get', { name: 'x' }],
      ['resources/read', { uri: 'file:///x' }],
    ] as const) {
      const answer = await modern('auto', method, params);
      assert.equal(answer.status, 200);
      const { id, result } = answer.json();
      assert.equal(id, 'm');
      assert.equal(result.resultType, 'input_required');
      assert.equal(result.requestState, undefined);
      const requests: Record<string, { method: string; params: Record<string, unknown> }> = result.inputRequests;
      const [request, ...more] = Object.values(requests);
      assert.equal(more.length, 0);
      assert.equal(request?.method, 'elicitation/create');
      assert.equal(request?.params['mode'], 'url');
      isLink(request?.params['url']);
    }
    nothingPassed();
  });

  it('2026-07-28: a retry that was declined gets an error, not another prompt', async () => {
    const first = (await modern('auto', 'tools/call', { name: 'x' })).json();
    const [key] = Object.keys(first.result.inputRequests) as [string];
    for (const action of ['decline', 'cancel']) {
      const answer = await modern('auto', 'tools/call', { name: 'x', inputResponses: { [key]: { action } } });
      assert.equal(answer.status, 403);
      isLink(answer.json().error.data.url);
    }
    const again = await modern('auto', 'tools/call', { name: 'x', inputResponses: { [key]: { action: 'accept' } } });
    assert.equal(again.json().result.resultType, 'input_required');
  });

  it('2026-07-28 without elicitation: a tool’s text holds the link; other methods get 403 with it', async () => {
    const tool = (await modern('auto', 'tools/call', { name: 'x' }, {})).json().result;
    assert.equal(tool.isError, true);
    assert.equal(tool.resultType, 'complete');
    assert.match(tool.content[0].text, /\/connect\/github\?ticket=/);
    const prompt = await modern('auto', 'prompts/get', { name: 'x' }, {});
    assert.equal(prompt.status, 403);
    isLink(prompt.json().error.data.url);
  });

  it('2025-11-25, a bound session whose client does URL elicitation: -32042', async () => {
    const headers = await session('auto', { elicitation: { url: {} } });
    const { error } = (await post('auto', toolCall('x', 5), headers)).json();
    assert.equal(error.code, -32042);
    const [elicitation, ...more] = error.data.elicitations;
    assert.equal(more.length, 0);
    assert.equal(elicitation.mode, 'url');
    assert.ok(elicitation.elicitationId && elicitation.message);
    isLink(elicitation.url);
    nothingPassed();
  });

  it('2025-11-25 without that capability, and older revisions: the tool’s text', async () => {
    for (const headers of [await session('auto', {}), ['Mcp-Protocol-Version', '2025-06-18'], []]) {
      const { result } = (await post('auto', toolCall('x', 5), headers)).json();
      assert.equal(result.isError, true);
      assert.match(result.content[0].text, /\/connect\/github\?ticket=/);
    }
  });

  it('what only opens or lists goes on without a credential; with unconnected: deny it does not', async () => {
    for (const method of [
      'initialize',
      'notifications/initialized',
      'ping',
      'server/discover',
      'tools/list',
      'resources/templates/list',
    ]) {
      const message = { jsonrpc: '2.0', ...(method.startsWith('notifications/') ? {} : { id: 1 }), method, params: {} };
      assert.equal((await post('auto', message)).status, 200, method);
      assert.equal(stack.backend.last().headers['authorization'], undefined);
      const denied = await post('strict', message);
      assert.equal(denied.status, 403, method);
    }
    for (const method of ['GET', 'DELETE']) {
      const headers = ['Authorization', `Bearer ${await issuer.token({ aud: `${stack.origin}/auto/mcp` })}`];
      assert.equal((await send(`${stack.origin}/auto/mcp`, { method, headers })).status, 200);
    }
  });

  it('a backend that wants a credential for listing after all: the same answer in place of its 401', async () => {
    stack.backend.respond = (_seen, response) =>
      void response.writeHead(401, { 'www-authenticate': 'Bearer' }).end('{}');
    const answer = await post('auto', { jsonrpc: '2.0', id: 9, method: 'tools/list' });
    assert.equal(answer.status, 403);
    assert.equal(answer.headers['www-authenticate'], undefined);
    assert.equal(answer.json().id, 9);
    isLink(answer.json().error.data.url);
  });

  it('elicit, tool_error and deny force their form', async () => {
    assert.equal((await modern('elicit', 'tools/call', { name: 'x' }, {})).json().result.resultType, 'input_required');
    assert.equal(
      (await post('elicit', toolCall('x'), ['Mcp-Protocol-Version', '2025-11-25'])).json().error.code,
      -32042,
    );
    assert.equal((await modern('text', 'tools/call', { name: 'x' })).json().result.isError, true);
    const denied = await modern('deny', 'tools/call', { name: 'x' });
    assert.equal(denied.status, 403);
    isLink(denied.json().error.data.url);
  });

  it('the audit says why; the link is in no log', async () => {
    await post('auto', toolCall('audited'));
    const line = await stack.services[0]!.until(() => stack.audit().find((entry) => entry['mcp_name'] === 'audited'));
    assert.equal(line.reason, 'account_missing');
    assert.equal(line.outcome, 'deny');
    assert.equal((stack.services[0]!.stdout + stack.services[0]!.stderr).includes('ticket='), false);
  });
});
