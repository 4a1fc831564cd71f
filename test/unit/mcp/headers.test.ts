import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareHeaders, isStateless } from '../../../src/mcp/headers.ts';
import type { McpMessage } from '../../../src/mcp/message.ts';
import { scanMessage } from '../../../src/mcp/scan-message.ts';

const REVISION = '2026-07-28';
const META = { 'io.modelcontextprotocol/protocolVersion': REVISION };

function message(members: object): McpMessage {
  const scan = scanMessage(Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...members })));
  assert.equal(scan.kind, 'message', JSON.stringify(scan));
  return (scan as { message: McpMessage }).message;
}

const request = (method: string, params: object = {}) => message({ id: 1, method, params: { ...params, _meta: META } });
const legacy = (method: string, params: object = {}) => message({ id: 1, method, params });

type Headers = Record<string, string | string[]>;
const verdict = (headers: Headers, about: McpMessage) => {
  const comparison = compareHeaders((name) => [headers[name] ?? []].flat(), about);
  return comparison.kind === 'ok' ? 'ok' : comparison.detail;
};
const modern = (more: Headers): Headers => ({ 'mcp-protocol-version': REVISION, ...more });
const utf8AsLatin1 = (text: string) => Buffer.from(text).toString('latin1');
const base64 = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`;

test('revisions', () => {
  for (const version of ['2026-07-28', '2026-12-01', '2030-01-01', 'DRAFT-2026-v1']) assert.ok(isStateless(version));
  for (const version of ['', '2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25']) assert.ok(!isStateless(version));
});

describe('2026-07-28', () => {
  const call = request('tools/call', { name: 'get_weather' });
  const full = modern({ 'mcp-method': 'tools/call', 'mcp-name': 'get_weather' });
  const cases: [string, Headers, McpMessage][] = [
    ['ok', full, call],
    ['ok', modern({ 'mcp-method': 'tools/list' }), request('tools/list')],
    [
      'ok',
      modern({ 'mcp-method': 'resources/read', 'mcp-name': 'file:///a b' }),
      request('resources/read', { uri: 'file:///a b', name: 'x' }),
    ],
    ['ok', modern({ 'mcp-method': 'prompts/get', 'mcp-name': 'p' }), request('prompts/get', { name: 'p' })],
    ['MCP-Protocol-Version is missing', { 'mcp-method': 'tools/call', 'mcp-name': 'get_weather' }, call],
    ['Mcp-Method is missing', modern({ 'mcp-name': 'get_weather' }), call],
    ['Mcp-Name is missing', modern({ 'mcp-method': 'tools/call' }), call],
    ['Mcp-Name is missing', modern({ 'mcp-method': 'prompts/get' }), request('prompts/get', { name: 'p' })],
    ['Mcp-Name is missing', modern({ 'mcp-method': 'resources/read' }), request('resources/read', { uri: 'u' })],
    ['Mcp-Method is not the method of the body', { ...full, 'mcp-method': 'tools/list' }, call],
    ['Mcp-Method is not the method of the body', { ...full, 'mcp-method': 'Tools/Call' }, call],
    ['Mcp-Method is not the method of the body', { ...full, 'mcp-method': '' }, call],
    ['Mcp-Method is not the method of the body', { ...full, 'mcp-method': base64('tools/call') }, call],
    ['Mcp-Name is not the name in the body', { ...full, 'mcp-name': 'get_weathe' }, call],
    ['Mcp-Name is not the name in the body', { ...full, 'mcp-name': 'GET_WEATHER' }, call],
    ['Mcp-Name is not the name in the body', { ...full, 'mcp-name': '' }, call],
    [
      'Mcp-Name is not the name in the body',
      modern({ 'mcp-method': 'resources/read', 'mcp-name': 'n' }),
      request('resources/read', { uri: 'u', name: 'n' }),
    ],
    ['MCP-Protocol-Version is not the version in _meta', { ...full, 'mcp-protocol-version': '2026-12-01' }, call],
    ['MCP-Protocol-Version is not the version in _meta', { ...full, 'mcp-protocol-version': '2025-11-25' }, call],
    ['MCP-Protocol-Version is repeated', { ...full, 'mcp-protocol-version': [REVISION, REVISION] }, call],
    ['Mcp-Method is repeated', { ...full, 'mcp-method': ['tools/call', 'tools/call'] }, call],
    ['Mcp-Name is repeated', { ...full, 'mcp-name': ['get_weather', 'other'] }, call],
    // The header alone makes the request one of this revision; that its body lacks a claim is the backend's to refuse.
    ['ok', full, legacy('tools/call', { name: 'get_weather' })],
    ['Mcp-Method is missing', modern({}), legacy('tools/call', { name: 'get_weather' })],
    ['Mcp-Method is missing', { 'mcp-protocol-version': '2027-01-01' }, legacy('tools/list')],
  ];
  for (const [expected, headers, about] of cases) {
    test(`${expected}: ${JSON.stringify(headers)}`, () => assert.equal(verdict(headers, about), expected));
  }
});

describe('earlier revisions: nothing is required, but what is sent is compared', () => {
  const call = legacy('tools/call', { name: 'delete_repo' });
  for (const version of [undefined, '2025-03-26', '2025-06-18', '2025-11-25']) {
    const headers: Headers = version === undefined ? {} : { 'mcp-protocol-version': version };
    test(String(version), () => {
      assert.equal(verdict(headers, call), 'ok');
      assert.equal(verdict({ ...headers, 'mcp-method': 'tools/call', 'mcp-name': 'delete_repo' }, call), 'ok');
      assert.equal(
        verdict({ ...headers, 'mcp-method': 'tools/list' }, call),
        'Mcp-Method is not the method of the body',
      );
      assert.equal(verdict({ ...headers, 'mcp-name': 'list_repos' }, call), 'Mcp-Name is not the name in the body');
    });
  }
});

describe('notifications and responses need no headers', () => {
  const notification = message({ method: 'notifications/cancelled', params: { requestId: 1, _meta: META } });
  const response = message({ id: 1, result: {} });
  test('notification', () => {
    assert.equal(verdict({}, notification), 'ok');
    assert.equal(verdict(modern({}), notification), 'ok');
    assert.equal(verdict(modern({ 'mcp-method': 'notifications/cancelled' }), notification), 'ok');
    assert.equal(verdict(modern({ 'mcp-method': 'ping' }), notification), 'Mcp-Method is not the method of the body');
    assert.equal(
      verdict({ 'mcp-protocol-version': '2025-11-25' }, notification),
      'MCP-Protocol-Version is not the version in _meta',
    );
  });
  test('response', () => {
    assert.equal(verdict(modern({}), response), 'ok');
    assert.equal(verdict({ 'mcp-method': 'ping' }, response), 'Mcp-Method is not the method of the body');
    assert.equal(verdict({ 'mcp-name': 'x' }, response), 'Mcp-Name is not the name in the body');
  });
});

describe('Mcp-Name of other methods', () => {
  test('tasks/* mirror the task', () => {
    const get = request('tasks/get', { taskId: 't1', name: 'n' });
    assert.equal(verdict(modern({ 'mcp-method': 'tasks/get', 'mcp-name': 't1' }), get), 'ok');
    assert.equal(verdict(modern({ 'mcp-method': 'tasks/get' }), get), 'ok');
    assert.equal(
      verdict(modern({ 'mcp-method': 'tasks/get', 'mcp-name': 'n' }), get),
      'Mcp-Name is not the name in the body',
    );
  });
  test('elsewhere it names something of the body, or nothing', () => {
    const subscribe = legacy('resources/subscribe', { uri: 'file:///a' });
    assert.equal(verdict({ 'mcp-name': 'file:///a' }, subscribe), 'ok');
    assert.equal(verdict({ 'mcp-name': '' }, subscribe), 'ok');
    assert.equal(verdict({ 'mcp-name': 'file:///b' }, subscribe), 'Mcp-Name is not the name in the body');
    assert.equal(verdict({ 'mcp-name': 'x' }, legacy('ping')), 'Mcp-Name is not the name in the body');
  });
});

describe('value encoding', () => {
  const named = (name: string) => request('tools/call', { name });
  const check = (header: string, name: string) =>
    verdict(modern({ 'mcp-method': 'tools/call', 'mcp-name': header }), named(name));
  const invalid = 'Mcp-Name has invalid characters or invalid base64';
  const different = 'Mcp-Name is not the name in the body';

  test('the examples of the specification', () => {
    assert.equal(check('=?base64?SGVsbG8sIOS4lueVjA==?=', 'Hello, 世界'), 'ok');
    assert.equal(check('=?base64?IHBhZGRlZCA=?=', ' padded '), 'ok');
    assert.equal(check('=?base64?bGluZTEKbGluZTI=?=', 'line1\nline2'), 'ok');
    assert.equal(check('=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=', '=?base64?literal?='), 'ok');
  });
  test('plain text may be encoded too, and is still compared', () => {
    assert.equal(check(base64('delete_repo'), 'delete_repo'), 'ok');
    assert.equal(check(base64('list_repos'), 'delete_repo'), different);
    assert.equal(check(base64(''), ''), 'ok');
  });
  test('only strict, canonical base64 of UTF-8', () => {
    assert.equal(check('=?base64?YQ?=', 'a'), invalid);
    assert.equal(check('=?base64?YR==?=', 'a'), invalid);
    assert.equal(check('=?base64?Y Q==?=', 'a'), invalid);
    assert.equal(check('=?base64?YQ==YQ==?=', 'aa'), invalid);
    assert.equal(check('=?base64?Pz8_?=', '???'), invalid);
    assert.equal(check('=?base64?!!?=', ''), invalid);
    assert.equal(check('=?base64?/w==?=', '\ufffd'), invalid);
  });
  test('a literal that looks encoded does not stand for itself', () => {
    assert.equal(check('=?base64?literal?=', '=?base64?literal?='), invalid);
    assert.equal(check('=?base64?=', '=?base64?='), different);
  });
  test('the markers are case-sensitive and must both be there', () => {
    assert.equal(check('=?BASE64?YQ==?=', 'a'), different);
    assert.equal(check('=?BASE64?YQ==?=', '=?BASE64?YQ==?='), 'ok');
    assert.equal(check('=?base64?YQ==', '=?base64?YQ=='), 'ok');
  });
  test('bytes beyond ASCII are refused, whichever way they could be read', () => {
    assert.equal(check(utf8AsLatin1('é'), 'é'), invalid);
    assert.equal(check(utf8AsLatin1('é'), utf8AsLatin1('é')), invalid);
    assert.equal(check('\u0000', '\u0001'), invalid);
    const call = request('m\u00e9thode');
    assert.equal(verdict(modern({ 'mcp-method': 'm\u00e9thode' }), call), 'Mcp-Method is not the method of the body');
  });
});
