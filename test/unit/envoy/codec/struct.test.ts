import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeStruct, encodeStruct, type JsonObject, type JsonValue } from '../../../../src/envoy/codec/struct.ts';
import { type Field, Struct, toProtoStruct, varint, wire } from './oracle.ts';

const example = {
  backend: 'github',
  scopes: ['mcp:read', ''],
  tools: { 'admin_*': { deny: true, limit: -1.5e300 }, empty: {} },
  none: null,
  nested: [[], [[]], { a: [null, false] }],
  'naïve 😀': '日本',
};

test('a struct comes out as it went in', () => {
  assert.deepEqual(structuredClone(decodeStruct(encodeStruct(example))), example);
  assert.deepEqual(structuredClone(decodeStruct(Struct.serialize(toProtoStruct(example)))), example);
  assert.deepEqual(Struct.deserialize(encodeStruct(example)), toProtoStruct(example));
});

test('members keep their order', () => {
  assert.deepEqual(Object.keys(decodeStruct(encodeStruct({ b: 1, a: 2, c: 3 }))), ['b', 'a', 'c']);
});

test('no bytes are an empty struct', () => {
  assert.deepEqual(Object.keys(decodeStruct(Buffer.alloc(0))), []);
});

test('member names that mean something to JavaScript are members and nothing else', () => {
  const object = JSON.parse('{"__proto__": {"polluted": true}, "constructor": "c", "toString": 1}') as JsonObject;
  const decoded = decodeStruct(encodeStruct(object));
  assert.equal(Object.getPrototypeOf(decoded), null);
  assert.deepEqual(Object.keys(decoded), ['__proto__', 'constructor', 'toString']);
  assert.equal(Object.getPrototypeOf(decoded['__proto__']), null);
  assert.equal(decoded['polluted'], undefined);
  assert.equal(({} as JsonObject)['polluted'], undefined);
});

test('of equal member names the last counts', () => {
  const member = (text: string): Field => [
    1,
    [
      [1, 'name'],
      [2, [[3, text]]],
    ],
  ];
  assert.deepEqual({ ...decodeStruct(wire([member('first'), member('last')])) }, { name: 'last' });
});

const nan = Buffer.from('11000000000000f87f', 'hex');
const infinity = Buffer.from('11000000000000f07f', 'hex');
const refused: [what: string, value: Field[] | Buffer, message: RegExp][] = [
  ['a member without a value', [], /^struct member has no value/],
  [
    'a member with two values',
    [
      [2, [[3, 'a']]],
      [2, [[3, 'b']]],
    ],
    /^struct member has two values/,
  ],
  ['a value of no kind', [[2, []]], /^struct value is of no kind/],
  [
    'a value of two kinds',
    [
      [
        2,
        [
          [3, 'a'],
          [4, 1],
        ],
      ],
    ],
    /^struct value is of two kinds/,
  ],
  [
    'a value given twice',
    [
      [
        2,
        [
          [5, []],
          [5, []],
        ],
      ],
    ],
    /^struct value is of two kinds/,
  ],
  ['null other than 0', [[2, [[1, 1]]]], /^null value is not 0/],
  ['not a number', [[2, nan]], /^struct number is not finite/],
  ['infinity', [[2, infinity]], /^struct number is not finite/],
  [
    'a name that is not UTF-8',
    [
      [1, Buffer.from([0xff])],
      [2, [[3, 'a']]],
    ],
    /^text is not UTF-8/,
  ],
];
for (const [what, member, message] of refused) {
  test(`refuses ${what}`, () => {
    const bytes = wire([[1, Buffer.isBuffer(member) ? member : wire(member)]]);
    assert.throws(() => decodeStruct(bytes), { name: 'DecodeError', message });
  });
}

const OBJECT = 5;
const LIST = 6;
for (const [kind, wrap] of [
  [OBJECT, (inner: JsonValue) => ({ inner })],
  [LIST, (inner: JsonValue) => [inner]],
] as const) {
  // Level 1 is the struct itself.
  const nested = (levels: number): JsonObject => {
    let value: JsonValue = 'deep';
    for (let level = 1; level < levels; level++) value = wrap(value);
    return { value };
  };
  const bytes = (levels: number): Buffer => {
    let value: Field[] = [[3, 'deep']];
    for (let level = 1; level < levels; level++) {
      value = [
        [
          kind,
          [
            [
              1,
              kind === OBJECT
                ? [
                    [1, 'inner'],
                    [2, value],
                  ]
                : value,
            ],
          ],
        ],
      ];
    }
    return wire([
      [
        1,
        [
          [1, 'value'],
          [2, value],
        ],
      ],
    ]);
  };

  test(`64 levels are the limit, of kind ${kind}`, () => {
    assert.deepEqual(structuredClone(decodeStruct(bytes(64))), nested(64));
    assert.deepEqual(encodeStruct(nested(64)), bytes(64));
    assert.throws(() => encodeStruct(nested(65)), { name: 'EncodeError', message: 'struct is nested too deeply' });
    assert.throws(() => decodeStruct(bytes(65)), { name: 'DecodeError', message: /^struct is nested too deeply/ });
  });
}

test('a struct nested a hundred thousand times is refused without harm', () => {
  const heads: Buffer[] = [];
  let length = 0;
  for (let i = 0; i < 100_000; i++) {
    for (const tag of [0x2a, 0x12, 0x0a]) {
      const head = Buffer.concat([Buffer.from([tag]), varint(BigInt(length))]);
      heads.push(head);
      length += head.length;
    }
  }
  assert.throws(() => decodeStruct(Buffer.concat(heads.toReversed())), { name: 'DecodeError' });
});

test('what has no JSON form is not written', () => {
  const cycle: JsonObject = {};
  cycle['self'] = cycle;
  assert.throws(() => encodeStruct(cycle), { name: 'EncodeError', message: 'struct is nested too deeply' });
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => encodeStruct({ value }), {
      name: 'EncodeError',
      message: 'a struct holds finite numbers only',
    });
  }
  for (const value of [undefined, 1n, () => 1, Symbol('s')]) {
    assert.throws(() => encodeStruct({ value } as unknown as JsonObject), {
      name: 'EncodeError',
      message: `a struct cannot hold a value of type ${typeof value}`,
    });
  }
});
