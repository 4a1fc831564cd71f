import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Malformed, McpMessage } from '../../../src/mcp/message.ts';
import { type ScanOptions, scanMessage } from '../../../src/mcp/scan-message.ts';

function accept(text: string, options?: ScanOptions): McpMessage {
  const scan = scanMessage(Buffer.from(text), options);
  assert.equal(scan.kind, 'message', JSON.stringify(scan));
  return (scan as { message: McpMessage }).message;
}

function refuse(body: string | Buffer, options?: ScanOptions): Malformed {
  const scan = scanMessage(Buffer.from(body), options);
  assert.equal(scan.kind, 'malformed');
  return scan;
}

const call = (members: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{${members}}}`;

describe('what a message says', () => {
  test('a 2026-07-28 request', () => {
    const body =
      '{"jsonrpc":"2.0","id":"a\\u0031","method":"tools/call","params":{"name":"get_weather","arguments":{"name":"not me"},' +
      '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{"url":{}}}},' +
      '"inputResponses":{"k":{"action":"decline"}}}}';
    const message = accept(body);
    const at = (span: { start: number; end: number } | undefined) => span && body.slice(span.start, span.end);
    assert.deepEqual(
      { ...message, spans: undefined },
      {
        shape: 'request',
        id: 'a1',
        idJson: '"a\\u0031"',
        method: 'tools/call',
        name: 'get_weather',
        uri: undefined,
        taskId: undefined,
        protocolVersion: '2026-07-28',
        clientElicitationUrl: true,
        spans: undefined,
      },
    );
    assert.equal(at(message.spans.message), body);
    assert.equal(JSON.parse(at(message.spans.params) ?? '').name, 'get_weather');
    assert.match(at(message.spans.meta) ?? '', /^\{"io\.modelcontextprotocol.*\}$/);
    assert.equal(at(message.spans.inputResponses), '{"k":{"action":"decline"}}');
  });

  test('an id beyond 2^53 keeps its digits', () => {
    assert.equal(accept('{"jsonrpc":"2.0","id":12345678901234567890,"method":"ping"}').idJson, '12345678901234567890');
  });

  test('shapes', () => {
    assert.equal(accept('{"jsonrpc":"2.0","method":"notifications/initialized"}').shape, 'notification');
    assert.equal(accept('{"jsonrpc":"2.0","id":0,"result":{}}').shape, 'response');
    assert.equal(accept('{"jsonrpc":"2.0","id":"x","error":{"code":-1,"message":""}}').method, undefined);
    assert.equal(accept('{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":""}}').id, null);
    assert.equal(accept('{"jsonrpc":"2.0","error":{"code":-1,"message":""}}').id, undefined);
  });

  test('members in any order, white space anywhere', () => {
    const message = accept(
      '\r\n{ "params" : { "uri" : "file:///a" , "taskId" : "t" } ,\t"method":"resources/read","id":-1 ,"jsonrpc":"2.0"}\n',
    );
    assert.deepEqual([message.uri, message.taskId, message.id], ['file:///a', 't', -1]);
  });

  test('params that name nothing', () => {
    assert.equal(
      accept('{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"name":5,"uri":null}}').name,
      undefined,
    );
  });

  const capabilities: [string, boolean][] = [
    ['{"elicitation":{"url":{}}}', true],
    ['{"x":{"url":{}},"elicitation":{"form":{},"url":{"a":[1]}}}', true],
    [String.raw`{"\u0065licitation":{"\u0075\u0072\u006c":{}}}`, true],
    ['{"elicitation":{}}', false],
    ['{"elicitation":{"url":true}}', false],
    ['{"elicitation":{"form":{"url":{}}}}', false],
    ['{"url":{}}', false],
    ['null', false],
    ['[]', false],
  ];
  for (const [declared, expected] of capabilities) {
    test(`capabilities ${declared}`, () => {
      const meta = `"_meta":{"io.modelcontextprotocol/clientCapabilities":${declared}}`;
      assert.equal(accept(call(`"name":"x",${meta}`)).clientElicitationUrl, expected);
      const params = `{"capabilities":${declared},"protocolVersion":"2025-11-25"}`;
      const initialize = (method: string) => `{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}`;
      assert.equal(accept(initialize('initialize')).clientElicitationUrl, expected);
      assert.equal(accept(initialize('tools/list')).clientElicitationUrl, false);
    });
  }
});

describe('what is refused', () => {
  const cases: [reason: string, body: string][] = [
    ['not_json', ''],
    ['not_json', '{'],
    ['not_json', '\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}'],
    ['not_json', '{"jsonrpc":"2.0","id":1,"method":"ping"}{}'],
    ['not_json', '{"jsonrpc":"2.0","id":1,"method":"ping"}\0'],
    ['not_json', '[{]'],
    ['batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]'],
    ['batch', '[]'],
    ['not_object', '"x"'],
    ['not_object', ' null '],
    ['too_deep', call(`"name":"x","arguments":${'['.repeat(127)}${']'.repeat(127)}`)],

    ['duplicate_key', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}'],
    ['duplicate_key', '{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}'],
    ['duplicate_key', '{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"param\u017f":{}}'],
    ['duplicate_key', '{"jsonrpc":"2.0","id":1,"method":"ping","x":1,"X":1}'],
    ['duplicate_key', call(String.raw`"name":"a","n\u0061me":"b"`)],
    ['duplicate_key', call('"name":"a","_meta":{"a":1,"A":2}')],
    ['wrong_case_key', '{"jsonrpc":"2.0","id":1,"Method":"ping"}'],
    ['wrong_case_key', '{"jsonrpc":"2.0","id":1,"method":"tools/call","Params":{"name":"x"}}'],
    ['wrong_case_key', '{"JSONRPC":"2.0","id":1,"method":"ping"}'],
    ['wrong_case_key', call('"Name":"x"')],
    ['wrong_case_key', call('"name":"x","_Meta":{}')],
    ['wrong_case_key', call('"name":"x","Arguments":{}')],
    ['wrong_case_key', call('"name":"x","_meta":{"io.modelcontextprotocol/protocolversion":"2026-07-28"}')],
    ['ambiguous', call(String.raw`"name":"delete_repo\u0000"`)],
    ['ambiguous', call(String.raw`"name":"\ud800"`)],
    ['ambiguous', call('"name":"ma\u212ae"')],
    ['ambiguous', call('"name":"e\u0301"')],
    ['ambiguous', String.raw`{"jsonrpc":"2.0","id":1,"method":"ping\u0000"}`],
    ['ambiguous', String.raw`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"\udfff"}}`],
    ['ambiguous', String.raw`{"jsonrpc":"2.0","id":1,"method":"ping","\ud800":1}`],
    ['ambiguous', '{"jsonrpc":"2.0","method":"ping","__proto__":{"id":1}}'],
    ['ambiguous', call('"name":"x","_meta":{"__proto__":{"user":{"id":"root"}}}')],
    ['too_many_keys', call(`"name":"x",${Array.from({ length: 257 }, (_, n) => `"k${n}":0`).join()}`)],

    ['not_jsonrpc', '{}'],
    ['not_jsonrpc', '{"id":1,"method":"ping"}'],
    ['not_jsonrpc', '{"jsonrpc":2.0,"id":1,"method":"ping"}'],
    ['not_jsonrpc', '{"jsonrpc":"1.0","id":1,"method":"ping"}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"method":""}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"method":["ping"]}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":null,"method":"ping"}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1.0,"method":"ping"}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1e2,"method":"ping"}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":true,"method":"ping"}'],
    ['not_jsonrpc', `{"jsonrpc":"2.0","id":"${'x'.repeat(1024)}","method":"ping"}`],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"method":"ping","params":null}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":null}}'],
    ['not_jsonrpc', call('"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":20260728}')],
    ['not_jsonrpc', call('')],
    ['not_jsonrpc', call('"name":1')],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"method":"tools/call"}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","method":"tools/call"}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"uri":"x"}}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"name":"x"}}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"result":{},"error":{}}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"result":1}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":1,"result":{},"params":{}}'],
    ['not_jsonrpc', '{"jsonrpc":"2.0","id":null,"result":{}}'],
  ];
  for (const [reason, body] of cases)
    test(`${reason}: ${body.slice(0, 100)}`, () => assert.equal(refuse(body).reason, reason));

  test('128 levels, the message and params among them, are fine', () => {
    accept(call(`"name":"x","arguments":${'['.repeat(126)}${']'.repeat(126)}`));
  });

  test('bytes that are not UTF-8', () => {
    const whole = Buffer.from(call('"name":"delete_repo"'));
    assert.equal(
      refuse(Buffer.concat([whole.subarray(0, -4), Buffer.from([0xff]), whole.subarray(-4)])).reason,
      'not_utf8',
    );
  });

  test('a duplicate deep inside is the backend’s affair', () => {
    accept(call('"name":"x","arguments":{"a":1,"a":2,"__proto__":{},"b":"\\ud800\\u0000"}'));
  });

  test('details never repeat what the client wrote', () => {
    for (const [, body] of cases) assert.doesNotMatch(refuse(body).detail, /delete_repo|ping/);
  });
});

describe('our own _meta key', () => {
  const options = { metaKey: 'user' };
  test('may stand there once, as it is spelled', () => {
    accept(call('"name":"x","_meta":{"user":{"id":"mallory"}}'), options);
    assert.equal(refuse(call('"name":"x","_meta":{"User":{}}'), options).reason, 'wrong_case_key');
    assert.equal(refuse(call('"name":"x","_meta":{"u\u017fer":{}}'), options).reason, 'wrong_case_key');
    assert.equal(refuse(call('"name":"x","_meta":{"user":{},"USER":{}}'), options).reason, 'duplicate_key');
  });
  test('params.meta would be read as params._meta', () => {
    assert.equal(refuse(call('"name":"x","meta":{"user":{}}'), options).reason, 'ambiguous');
    assert.equal(refuse(call('"name":"x","META":{"user":{}}'), options).reason, 'ambiguous');
    accept(call('"name":"x","meta":{"user":{}}'));
  });
});
