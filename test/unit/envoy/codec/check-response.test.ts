import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeDenied, encodeOk } from '../../../../src/envoy/codec/check-response.ts';
import { encodeStruct } from '../../../../src/envoy/codec/struct.ts';
import { CheckResponse, toProtoStruct } from './oracle.ts';

const overwrite = (key: string, value: string) => ({
  header: { key, value },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
});

test('ok: edits and dynamic metadata', () => {
  const bytes = encodeOk({
    set: [
      ['x-user-sub', 'alice'],
      ['authorization', `Bearer ${'t'.repeat(3000)}`],
    ],
    remove: ['x_user_sub', 'cookie'],
    dynamicMetadata: encodeStruct({ sealed: 'abc' }),
  });
  assert.deepEqual(CheckResponse.deserialize(bytes), {
    status: {},
    ok_response: {
      headers: [overwrite('x-user-sub', 'alice'), overwrite('authorization', `Bearer ${'t'.repeat(3000)}`)],
      headers_to_remove: ['x_user_sub', 'cookie'],
    },
    dynamic_metadata: toProtoStruct({ sealed: 'abc' }),
  });
});

test('ok without edits says OK outright', () => {
  assert.deepEqual(CheckResponse.deserialize(encodeOk({ set: [], remove: [] })), { status: {}, ok_response: {} });
});

test('ok: bytes that are UTF-8 pass as they are', () => {
  const bytes = encodeOk({ set: [['x-name', Buffer.from('Zoë').toString('latin1')]], remove: [] });
  assert.deepEqual(CheckResponse.deserialize(bytes), {
    status: {},
    ok_response: { headers: [overwrite('x-name', 'Zoë')] },
  });
});

for (const [status, code] of [
  [200, 7],
  [302, 7],
  [400, 7],
  [401, 16],
  [403, 7],
  [503, 7],
  [599, 7],
] as const) {
  test(`denied with ${status} has gRPC status ${code}`, () => {
    const decoded = CheckResponse.deserialize(encodeDenied({ status, headers: [], body: '' })) as {
      status: { code: number };
    };
    assert.equal(decoded.status.code, code);
  });
}

test('denied: several values of one name, and a body beyond ASCII', () => {
  const bytes = encodeDenied({
    status: 401,
    headers: [
      ['www-authenticate', 'Bearer a'],
      ['www-authenticate', 'Basic b'],
      ['content-type', 'application/json'],
    ],
    body: '{"é":"😀"}',
  });
  assert.deepEqual(CheckResponse.deserialize(bytes), {
    status: { code: 16 },
    denied_response: {
      status: { code: 'Unauthorized' },
      headers: [
        overwrite('www-authenticate', 'Bearer a'),
        overwrite('www-authenticate', 'Basic b'),
        overwrite('content-type', 'application/json'),
      ],
      body: '{"é":"😀"}',
    },
  });
});

for (const status of [0, 100, 199, 600, 200.5, Number.NaN, -401]) {
  test(`denied with ${status} is refused`, () => {
    assert.throws(() => encodeDenied({ status, headers: [], body: '' }), {
      name: 'EncodeError',
      message: `${status} is not a final HTTP status`,
    });
  });
}

const badValues = ['a\r\nb: c', 'a\nb', 'a\0', 'a\x7f', 'a\x1b', 'wide: \u010a', '😀'];
for (const value of badValues) {
  test(`a header value with ${JSON.stringify(value.slice(1))} is refused, its name told, not its value`, () => {
    const expected = { name: 'EncodeError', message: 'header x-a has a value with control or wide characters' };
    assert.throws(() => encodeOk({ set: [['x-a', value]], remove: [] }), expected);
    assert.throws(() => encodeDenied({ status: 403, headers: [['x-a', value]], body: '' }), expected);
  });
}

test('a header value whose bytes are not UTF-8 cannot go through ext_authz', () => {
  assert.throws(() => encodeOk({ set: [['x-a', 'caf\xe9']], remove: [] }), {
    name: 'EncodeError',
    message: 'header x-a has a value that ext_authz cannot carry: it is not UTF-8',
  });
});

for (const name of ['', 'a b', 'a:b', 'é', 'a\r\nb', ':']) {
  test(`the header name ${JSON.stringify(name)} is refused`, () => {
    const expected = { name: 'EncodeError', message: 'a header name is not a token' };
    assert.throws(() => encodeOk({ set: [[name, 'v']], remove: [] }), expected);
    assert.throws(() => encodeOk({ set: [], remove: [name] }), expected);
    assert.throws(() => encodeDenied({ status: 403, headers: [[name, 'v']], body: '' }), expected);
  });
}

test('pseudo-headers may be set, tabs may stand in values', () => {
  const bytes = encodeOk({
    set: [
      [':authority', 'backend'],
      ['x-a', 'a\tb'],
    ],
    remove: [],
  });
  assert.deepEqual(CheckResponse.deserialize(bytes), {
    status: {},
    ok_response: { headers: [overwrite(':authority', 'backend'), overwrite('x-a', 'a\tb')] },
  });
});
