import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CheckMessage, decodeCheckRequest } from '../../../../src/envoy/codec/check-request.ts';
import { decodeStruct } from '../../../../src/envoy/codec/struct.ts';
import { CheckRequest, type Field, toProtoStruct, wire } from './oracle.ts';

const NAMESPACE = 'mcp.identity';
const decode = (fields: readonly Field[]) => decodeCheckRequest(wire(fields), NAMESPACE);
const http = (...fields: Field[]): Field => [1, [[4, [[2, fields]]]]];
const header = (key: string, value: Buffer | string): Field => [
  1,
  [
    [1, key],
    [3, value],
  ],
];
const peer = (...fields: Field[]): Field => [1, [[1, fields]]];

const nothing: CheckMessage = {
  requestId: '',
  method: '',
  path: '',
  host: '',
  scheme: '',
  protocol: '',
  size: 0,
  timeSeconds: 0,
  headers: [],
  headersRaw: false,
  rawBody: undefined,
  textBody: false,
  peerAddress: '',
  peerPort: 0,
  peerPrincipal: '',
  peerCertificate: '',
  routeMetadata: undefined,
};

test('a whole request as Envoy sends it', () => {
  const bytes = CheckRequest.serialize({
    attributes: {
      source: {
        address: { socket_address: { address: '192.0.2.7', port_value: 47700 } },
        principal: 'spiffe://corp/gateway',
        certificate: '-----BEGIN%20CERTIFICATE-----',
      },
      destination: {
        address: { socket_address: { address: '127.0.0.1', port_value: 10000 } },
        principal: 'not the peer',
      },
      request: {
        time: { seconds: 1_790_000_000, nanos: 5 },
        http: {
          id: '7485132291659715542',
          method: 'POST',
          headers: {},
          header_map: {
            headers: [
              { key: ':path', raw_value: Buffer.from('/github/mcp?x=1') },
              { key: 'X-Mixed', raw_value: Buffer.from('Kept') },
              { key: 'x-odd', raw_value: Buffer.from([0x61, 0xe9, 0xff]) },
              { key: 'x-twice', raw_value: Buffer.from('1') },
              { key: 'x-twice', raw_value: Buffer.from('2') },
              { key: 'x-empty' },
              { key: 'authorization', raw_value: Buffer.from(`Bearer ${'t'.repeat(900)}`) },
            ],
          },
          path: '/github/mcp?x=1',
          host: 'mcp.example.com',
          scheme: 'https',
          size: -1,
          protocol: 'HTTP/2',
          raw_body: Buffer.from('{"id":1}'),
        },
      },
      context_extensions: { a: 'b' },
      metadata_context: { filter_metadata: { [NAMESPACE]: toProtoStruct({ from: 'the wrong place' }) } },
      route_metadata_context: {
        filter_metadata: { other: toProtoStruct({ x: 1 }), [NAMESPACE]: toProtoStruct({ backend: 'github' }) },
      },
      tls_session: { sni: 'mcp.example.com' },
    },
  });
  const { routeMetadata, ...message } = decodeCheckRequest(bytes, NAMESPACE);
  assert.deepEqual(message, {
    requestId: '7485132291659715542',
    method: 'POST',
    path: '/github/mcp?x=1',
    host: 'mcp.example.com',
    scheme: 'https',
    protocol: 'HTTP/2',
    size: -1,
    timeSeconds: 1_790_000_000,
    // prettier-ignore
    headers: [
      ':path',
      '/github/mcp?x=1',
      'x-mixed',
      'Kept',
      'x-odd',
      'a\xe9\xff',
      'x-twice',
      '1',
      'x-twice',
      '2',
      'x-empty',
      '',
      'authorization',
      `Bearer ${'t'.repeat(900)}`,
    ],
    headersRaw: true,
    rawBody: Buffer.from('{"id":1}'),
    textBody: false,
    peerAddress: '192.0.2.7',
    peerPort: 47700,
    peerPrincipal: 'spiffe://corp/gateway',
    peerCertificate: '-----BEGIN%20CERTIFICATE-----',
  });
  assert.deepEqual({ ...decodeStruct(routeMetadata as Buffer) }, { backend: 'github' });
});

test('no bytes are a request of nothing', () => {
  assert.deepEqual(decode([]), nothing);
});

test('only the joined headers: not raw, and none is handed out', () => {
  assert.deepEqual(
    decode([
      http([
        3,
        [
          [1, 'authorization'],
          [2, 'Bearer a,Bearer b'],
        ],
      ]),
    ]),
    nothing,
  );
  assert.equal(decode([http([13, []])]).headersRaw, true);
});

test('`value` stands in where Envoy sent no `raw_value`', () => {
  const named = (name: string, ...values: Field[]): Field => [1, [[1, name], ...values]];
  const headers = [named('a', [2, 'text é']), named('b', [2, 'text'], [3, 'raw']), named('c', [2, 'text'], [3, ''])];
  assert.deepEqual(decode([http([13, headers])]).headers, ['a', 'text \xc3\xa9', 'b', 'raw', 'c', 'text']);
});

test('a body as text is told from a body as bytes', () => {
  assert.deepEqual(decode([http([11, 'text'])]), { ...nothing, textBody: true });
  assert.deepEqual(decode([http([11, 'text'], [11, ''])]), nothing);
  assert.deepEqual(decode([http([12, ''])]), nothing);
});

test('the body is a view of the message', () => {
  const bytes = wire([http([12, 'body'])]);
  assert.equal(decodeCheckRequest(bytes, NAMESPACE).rawBody?.buffer, bytes.buffer);
});

test('sub-messages that come in pieces merge; of repeated values the last counts', () => {
  const message = decode([
    http([2, 'GET'], [4, '/a'], [13, [header('a', '1')]]),
    peer([1, [[1, [[2, '192.0.2.1']]]]], [4, 'first']),
    http([2, 'POST'], [13, [header('b', '2')]]),
    peer([1, [[1, [[3, 80]]]]], [4, 'last']),
  ]);
  assert.deepEqual(message, {
    ...nothing,
    method: 'POST',
    path: '/a',
    headers: ['a', '1', 'b', '2'],
    headersRaw: true,
    peerAddress: '192.0.2.1',
    peerPort: 80,
    peerPrincipal: 'last',
  });
});

for (const [kind, field] of [
  ['pipe', 2],
  ['Envoy-internal', 3],
] as const) {
  test(`a ${kind} peer has no address, whatever came before`, () => {
    const socket: Field = [
      1,
      [
        [2, '10.0.0.1'],
        [3, 80],
      ],
    ];
    assert.deepEqual(decode([peer([1, [socket, [field, [[1, '/x']]]]])]), nothing);
    assert.equal(decode([peer([1, [[field, []], socket]])]).peerAddress, '10.0.0.1');
  });
}

test('of two entries for the namespace the last counts', () => {
  const entry = (key: string, text: string): Field => [
    1,
    [
      [1, key],
      [2, text],
    ],
  ];
  const metadata = (...entries: Field[]): Field => [1, [[13, entries]]];
  assert.equal(
    decode([metadata(entry(NAMESPACE, 'a'), entry(NAMESPACE, 'b'), entry('x', 'c'))]).routeMetadata?.toString(),
    'b',
  );
  assert.equal(
    decode([metadata(entry(NAMESPACE, 'a')), metadata(entry(NAMESPACE, 'b'))]).routeMetadata?.toString(),
    'b',
  );
  assert.equal(decode([metadata(entry('x', 'a'))]).routeMetadata, undefined);
  assert.deepEqual(decode([metadata([1, [[1, NAMESPACE]]])]).routeMetadata, Buffer.alloc(0));
  assert.throws(
    () =>
      decode([
        metadata([
          1,
          [
            [1, NAMESPACE],
            [2, 'a'],
            [2, 'b'],
          ],
        ]),
      ]),
    {
      name: 'DecodeError',
      message: /^metadata entry has two values/,
    },
  );
});

const refused: [what: string, field: Field, message: RegExp][] = [
  ['text that is not UTF-8', http([4, Buffer.from([0x2f, 0xff])]), /^text is not UTF-8/],
  ['a header name beyond ASCII', http([13, [header('x-é', '1')]]), /^header name is not ASCII/],
  ['a field under another wire type', http([2, 1]), /^wrong wire type/],
  ['a header map that is a number', http([13, 1]), /^wrong wire type/],
];
for (const [what, field, message] of refused) {
  test(`refuses ${what}`, () => {
    assert.throws(() => decode([field]), { name: 'DecodeError', message });
  });
}

test('a message cut off anywhere inside is refused', () => {
  const bytes = wire([
    [
      1,
      [
        [
          4,
          [
            [
              2,
              [
                [2, 'POST'],
                [13, [header('name', 'value')]],
                [12, 'body'],
              ],
            ],
          ],
        ],
      ],
    ],
  ]);
  assert.equal(decodeCheckRequest(bytes, NAMESPACE).method, 'POST');
  for (let end = 1; end < bytes.length; end++) {
    assert.throws(() => decodeCheckRequest(bytes.subarray(0, end), NAMESPACE), { name: 'DecodeError' });
  }
});
