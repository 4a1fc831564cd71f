import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Dialect, parseSource } from '../../../src/core/source-document.ts';

function faults(text: string, dialect: Dialect = 'own'): string[] {
  const read = parseSource('f.yaml', text, dialect);
  return read.ok ? [] : read.problems.map(({ code, line, message }) => `${code} ${line ?? '-'} ${message}`);
}

function value(text: string, dialect: Dialect = 'own'): unknown {
  const read = parseSource('f.yaml', text, dialect);
  assert.ok(read.ok, JSON.stringify(read));
  return read.document.value;
}

describe('what cannot be read', () => {
  const cases: [name: string, text: string, fault: string | RegExp][] = [
    ['nothing', '', 'FILE - is empty'],
    ['comments only', '# nothing\n', 'FILE - is empty'],
    ['a list', '- a\n', 'FILE - is not a YAML map'],
    ['a second document', 'a: 1\n---\nb: 2\n', 'FILE - holds more than one YAML document'],
    ['a tab', 'a:\n\tb: 1\n', 'FILE 2 a tab is used for indentation; YAML wants spaces'],
    ['an open bracket', 'a: [1\nb: 2\n', 'FILE 2 the indentation is wrong'],
    ['a key twice', 'a: 1\nb: 2\na: 3\n', 'FILE 3 the same key stands twice in one map'],
    ['an alias of nothing', 'a: *b\n', /^FILE/],
    ['an anchor in itself', 'a: &a {b: *a}\n', /^FILE/],
    ['brackets without end', `a: ${'['.repeat(100_000)}`, /^FILE/],
  ];
  for (const [name, text, fault] of cases) {
    test(name, () => {
      const [first = '', ...more] = faults(text);
      assert.equal(more.length, 0);
      if (typeof fault === 'string') assert.equal(first, fault);
      else assert.match(first, fault);
    });
  }

  test('anchors that unfold to more than memory holds', () => {
    const levels = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(',')}]`);
    assert.match(faults(`a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n${levels.join('\n')}\n`)[0] ?? '', /too many values/);
  });

  test('the text of a broken file is never told, it may be a secret', () => {
    for (const text of [
      'a: hunter2: hunter2',
      'a: @hunter2',
      'a: |hunter2\n x',
      'a: "\\xhunter2"',
      'a: [hunter2',
      '{"a": hunter2',
      'a: hunter2\na: hunter2',
      'a: &hunter2',
    ]) {
      for (const dialect of ['own', 'envoy'] as const) assert.doesNotMatch(faults(text, dialect).join(), /hunter2/);
    }
  });
});

test('every repeated key is told', () => {
  assert.deepEqual(
    faults('a: 1\na: 2\nb: {c: 1, c: 2}\n').map((fault) => fault.slice(0, 6)),
    ['FILE 2', 'FILE 3'],
  );
});

describe('lines', () => {
  const text = 'a: 1\nb:\n  - c: &x\n      d: 2\n  - e: *x\n';
  const lineOf = (...path: (string | number)[]) => {
    const read = parseSource('f.yaml', text, 'own');
    assert.ok(read.ok);
    return read.document.lineOf(path);
  };
  test('are those of keys and items', () =>
    assert.deepEqual([lineOf('a'), lineOf('b', 0, 'c'), lineOf('b', 1)], [1, 3, 5]));
  test('go through aliases to what they stand for', () => assert.equal(lineOf('b', 1, 'e', 'd'), 4));
  test('fall back to what is there', () =>
    assert.deepEqual([lineOf('b', 1, 'e', 'z'), lineOf('z'), lineOf()], [5, 1, 1]));

  test('are found in JSON, where it has lines', () => {
    const read = parseSource('f.json', '{\n "a": [\n  {"b": 1}\n ]\n}\n', 'envoy');
    const flat = parseSource('f.json', '{"a": 1}', 'envoy');
    assert.ok(read.ok && flat.ok);
    assert.equal(read.document.lineOf(['a', 0, 'b']), 3);
    assert.equal(flat.document.lineOf(['a']), undefined);
  });
});

describe('dialects', () => {
  test('a config file merges with <<, Envoy does not', () => {
    const text = 'base: &b {x: 1}\nc:\n  <<: *b\n  y: two\n';
    assert.deepEqual(value(text), { base: { x: 1 }, c: { x: 1, y: 'two' } });
    assert.deepEqual(value(text, 'envoy'), { base: { x: 1 }, c: { '<<': { x: 1 }, y: 'two' } });
  });

  test('Envoy leaves out what is tagged !ignore, and keeps its anchors', () => {
    const read = value('!ignore parts: &p {x: yes}\na: *p\n2: b\nyes: c\n', 'envoy') as Record<string, unknown>;
    assert.deepEqual(read['a'], { x: true });
    assert.equal(read['parts'], undefined);
    assert.equal(read['2'], 'b');
    assert.equal(read['yes'], 'c');
  });

  test('a key that is called __proto__ is a key', () => {
    for (const text of ['__proto__: {x: 1}\n', '{"__proto__": {"x": 1}}']) {
      const read = value(text) as object;
      assert.deepEqual(Object.keys(read), ['__proto__']);
      assert.equal(Object.getPrototypeOf(read), Object.prototype);
    }
  });
});
