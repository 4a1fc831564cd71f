import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  continueBody,
  continueHeaders,
  continueTrailers,
  immediate,
} from '../../../../src/envoy/codec/processing-response.ts';
import { encodeStruct } from '../../../../src/envoy/codec/struct.ts';
import { ProcessingResponse, toProtoStruct } from './oracle.ts';

const raw = (key: string, value: string) => ({ key, raw_value: Buffer.from(value, 'latin1') });
const overwrite = (key: string, value: string) => ({
  header: raw(key, value),
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
});
const append = (key: string, value: string) => ({
  header: raw(key, value),
  append: { value: true },
  append_action: 'APPEND_IF_EXISTS_OR_ADD',
});

for (const kind of ['request_headers', 'response_headers'] as const) {
  test(`${kind}: no change`, () => {
    assert.deepEqual(ProcessingResponse.deserialize(continueHeaders(kind)), { [kind]: { response: {} } });
  });

  test(`${kind}: edits, in order, odd bytes included`, () => {
    const bytes = continueHeaders(kind, {
      set: [
        ['x-a', '1'],
        ['x-b', '\xe9'],
      ],
      remove: ['x-c', 'x-d'],
    });
    assert.deepEqual(ProcessingResponse.deserialize(bytes), {
      [kind]: {
        response: {
          header_mutation: {
            set_headers: [overwrite('x-a', '1'), overwrite('x-b', '\xe9')],
            remove_headers: ['x-c', 'x-d'],
          },
        },
      },
    });
  });
}

test('request_headers: asks for the body', () => {
  const bytes = continueHeaders('request_headers', {
    modeOverride: { requestBody: 'buffered', responseHeaders: 'send' },
  });
  assert.deepEqual(ProcessingResponse.deserialize(bytes), {
    request_headers: { response: {} },
    mode_override: {
      response_header_mode: 'SEND',
      request_body_mode: 'BUFFERED',
      response_body_mode: 'NONE',
      request_trailer_mode: 'DEFAULT',
      response_trailer_mode: 'DEFAULT',
    },
  });
});

test('every mode has its number', () => {
  const bytes = continueHeaders('request_headers', {
    modeOverride: {
      responseHeaders: 'skip',
      requestBody: 'streamed',
      responseBody: 'buffered_partial',
      requestTrailers: 'skip',
      responseTrailers: 'send',
    },
  });
  assert.deepEqual((ProcessingResponse.deserialize(bytes) as { mode_override: object }).mode_override, {
    response_header_mode: 'SKIP',
    request_body_mode: 'STREAMED',
    response_body_mode: 'BUFFERED_PARTIAL',
    request_trailer_mode: 'SKIP',
    response_trailer_mode: 'SEND',
  });
});

test('dynamic metadata goes along', () => {
  const dynamicMetadata = encodeStruct({ 'mcp.identity': { seen: true } });
  assert.deepEqual(ProcessingResponse.deserialize(continueBody('response_body', { dynamicMetadata })), {
    response_body: { response: {} },
    dynamic_metadata: toProtoStruct({ 'mcp.identity': { seen: true } }),
  });
});

for (const kind of ['request_body', 'response_body'] as const) {
  test(`${kind}: kept, replaced, emptied`, () => {
    assert.deepEqual(ProcessingResponse.deserialize(continueBody(kind)), { [kind]: { response: {} } });
    const replaced = continueBody(kind, { set: [['content-length', '5']], body: Buffer.from('hello') });
    assert.deepEqual(ProcessingResponse.deserialize(replaced), {
      [kind]: {
        response: {
          header_mutation: { set_headers: [overwrite('content-length', '5')] },
          body_mutation: { body: Buffer.from('hello') },
        },
      },
    });
    assert.deepEqual(ProcessingResponse.deserialize(continueBody(kind, { body: Buffer.alloc(0) })), {
      [kind]: { response: { body_mutation: { body: Buffer.alloc(0) } } },
    });
  });
}

for (const kind of ['request_trailers', 'response_trailers'] as const) {
  test(`${kind}: no change`, () => {
    assert.deepEqual(ProcessingResponse.deserialize(continueTrailers(kind)), { [kind]: {} });
  });
}

test('immediate: several values of one name are added to the first', () => {
  const bytes = immediate({
    status: 401,
    headers: [
      ['www-authenticate', 'Bearer a'],
      ['set-cookie', 'a=1'],
      ['www-authenticate', 'Basic b'],
      ['set-cookie', 'b=2'],
    ],
    body: '{"é":1}',
    details: 'session_unknown',
  });
  assert.deepEqual(ProcessingResponse.deserialize(bytes), {
    immediate_response: {
      status: { code: 'Unauthorized' },
      headers: {
        set_headers: [
          overwrite('www-authenticate', 'Bearer a'),
          overwrite('set-cookie', 'a=1'),
          append('www-authenticate', 'Basic b'),
          append('set-cookie', 'b=2'),
        ],
      },
      body: Buffer.from('{"é":1}'),
      details: 'session_unknown',
    },
  });
});

test('immediate with a status alone', () => {
  assert.deepEqual(ProcessingResponse.deserialize(immediate({ status: 404, headers: [], body: '' })), {
    immediate_response: { status: { code: 'NotFound' } },
  });
  assert.throws(() => immediate({ status: 100, headers: [], body: '' }), {
    name: 'EncodeError',
    message: '100 is not a final HTTP status',
  });
});

for (const value of ['a\r\nb: c', 'a\0', 'a\x7f', 'wide: \u010a']) {
  test(`a header value with ${JSON.stringify(value.slice(1))} is refused`, () => {
    const expected = { name: 'EncodeError', message: 'header x-a has a value with control or wide characters' };
    assert.throws(() => continueHeaders('request_headers', { set: [['x-a', value]] }), expected);
    assert.throws(() => immediate({ status: 403, headers: [['x-a', value]], body: '' }), expected);
  });
}

test('a header name that is no token is refused', () => {
  const expected = { name: 'EncodeError', message: 'a header name is not a token' };
  assert.throws(() => continueHeaders('response_headers', { set: [['a b', '1']] }), expected);
  assert.throws(() => continueHeaders('response_headers', { remove: ['a b'] }), expected);
});
