import * as fc from 'fast-check';

const SPACE = ['', '', '', ' ', '\n', '\t', '\r\n  '];
const SHORT: Record<string, string> = {
  '"': '\\"',
  '\\': '\\\\',
  '/': '\\/',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** Ways to write `value` as JSON: white space, escapes and forms of numbers as they come. Keys keep their order. */
export function spelled(value: unknown): fc.Arbitrary<string> {
  return fc.infiniteStream(fc.nat({ max: 1 << 16 })).map((choices) => {
    const choose = (count: number) => (choices.next().value ?? 0) % count;
    const space = () => SPACE[choose(SPACE.length)] as string;
    return space() + write(value, choose, space) + space();
  });
}

function write(value: unknown, choose: (count: number) => number, space: () => string): string {
  const inside = (item: unknown) => space() + write(item, choose, space) + space();
  if (typeof value === 'string') return literalOf(value, choose);
  if (Array.isArray(value)) return `[${value.map(inside).join(',') || space()}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(
      ([key, item]) => `${space()}${literalOf(key, choose)}${space()}:${inside(item)}`,
    );
    return `{${members.join(',') || space()}}`;
  }
  return JSON.stringify(value);
}

function literalOf(value: string, choose: (count: number) => number): string {
  let literal = '"';
  for (let i = 0; i < value.length; i++) {
    const unit = value.charAt(i);
    const way = choose(8);
    const plain = unit >= ' ' && unit !== '"' && unit !== '\\' && !/[\ud800-\udfff]/.test(unit);
    if (SHORT[unit] !== undefined && way !== 0 && !(unit === '/' && way > 4)) literal += SHORT[unit];
    else if (plain && way !== 0) literal += unit;
    else literal += `\\u${value.charCodeAt(i).toString(16).padStart(4, '0')}`;
  }
  return `${literal}"`;
}

/** The bytes of `text` after up to four changes: a byte replaced, dropped, doubled or put in. */
export function mutated(text: string): fc.Arbitrary<Buffer> {
  const change = fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('replace', 'drop', 'double', 'insert'),
    byte: fc.oneof(fc.constantFrom(...Buffer.from('{}[]",:\\ue0-+. \n\0aA')), fc.nat({ max: 255 })),
  });
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    const bytes = [...Buffer.from(text)];
    for (const { at, kind, byte } of changes) {
      const place = at % (bytes.length + 1);
      if (kind === 'replace') bytes[place] = byte;
      else if (kind === 'drop') bytes.splice(place, 1);
      else if (kind === 'double') bytes.splice(place, 0, bytes[place] ?? byte);
      else bytes.splice(place, 0, byte);
    }
    return Buffer.from(bytes);
  });
}

const CLAIM = 'io.modelcontextprotocol/protocolVersion';
const name = fc.oneof(fc.constantFrom('get_weather', 'delete_repo', '', 'é', '世界', 'a"b\\c/\n'), fc.string());
const id = fc.oneof(fc.integer(), fc.string({ maxLength: 20 }), fc.constantFrom<unknown>(null, 1.5, 1e21, true, []));
const odd = (usual: fc.Arbitrary<unknown>) =>
  fc.oneof({ arbitrary: usual, weight: 12 }, { arbitrary: fc.jsonValue({ maxDepth: 1 }), weight: 1 });
/** Members in any order, some of them left out. */
const members = (model: Record<string, fc.Arbitrary<unknown>>, requiredKeys: string[]) =>
  fc
    .record(model, { requiredKeys, noNullPrototype: true })
    .chain((object) => fc.shuffledSubarray(Object.entries(object), { minLength: Object.keys(object).length }))
    .map((entries) => Object.fromEntries(entries) as Record<string, unknown>);

const meta = members(
  {
    [CLAIM]: odd(fc.constantFrom('2026-07-28', '2025-11-25')),
    'io.modelcontextprotocol/clientCapabilities': odd(
      fc.constantFrom({}, { elicitation: { url: {} } }, { elicitation: { form: {} } }),
    ),
    progressToken: fc.jsonValue({ maxDepth: 1 }),
    user: fc.jsonValue({ maxDepth: 2 }),
    'com.example/x': fc.jsonValue(),
  },
  [],
);
const params = members(
  { name: odd(name), uri: odd(name), taskId: odd(name), arguments: fc.jsonValue(), _meta: odd(meta) },
  [],
);

/** JSON-RPC messages, most of them right. */
export const someMessage: fc.Arbitrary<Record<string, unknown>> = fc.oneof(
  {
    weight: 5,
    arbitrary: members(
      {
        jsonrpc: odd(fc.constant('2.0')),
        id,
        method: odd(fc.constantFrom('tools/call', 'prompts/get', 'resources/read', 'ping', 'initialize', 'tasks/get')),
        params: odd(params),
        other: fc.jsonValue({ maxDepth: 2 }),
      },
      ['jsonrpc', 'method'],
    ),
  },
  {
    weight: 1,
    arbitrary: members(
      {
        jsonrpc: fc.constant('2.0'),
        id,
        result: odd(fc.constant({})),
        error: odd(fc.constant({ code: 1, message: '' })),
      },
      ['jsonrpc'],
    ),
  },
);
