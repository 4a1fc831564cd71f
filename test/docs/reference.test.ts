// docs/reference/ says what the source says. `npm run docs` brings it up to date.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { commandsIn, help } from '../../scripts/docs/cli.ts';
import { kindOfMetric, METRIC_NOTES, metricsInSource, metricTable } from '../../scripts/docs/metrics.ts';
import { referencePages } from '../../scripts/docs/pages.ts';
import { REFUSALS } from '../../src/explain/refusal-help.ts';
import { fillRegions } from '../../scripts/docs/regions.ts';
import { type JsonSchema, schemaAt } from '../../scripts/docs/schema-table.ts';
import { problemsOf } from '../../scripts/docs/validation.ts';
import { CODES } from '../../scripts/docs/validation-codes.ts';
import { badOf, goodOf } from '../../scripts/docs/validation-example.ts';
import { jsonSchemaOf } from '../../src/cli/schema.ts';
import { WIRE } from '../../src/core/refusal.ts';

const ROOT = join(import.meta.dirname, '../..');
const page = (name: string) => readFileSync(join(ROOT, 'docs/reference', name), 'utf8');

test('the reference is up to date', async () => {
  const pages = await referencePages();
  assert.ok(pages.length >= 6);
  for (const { path, now, wanted } of pages) assert.equal(now, wanted, `${path}: run npm run docs`);
});

describe('keys', () => {
  const documents = ['config', 'route'] as const;

  test('each has a description', () => {
    for (const name of documents) {
      const missing = [...described(jsonSchemaOf(name), name)];
      assert.deepEqual(missing, []);
    }
  });

  test('each block has a table', () => {
    for (const name of documents) {
      const markers = [...page(`${name}.md`).matchAll(/<!-- generated: keys \w+ ?(.*?) -->/g)].map(
        ([, args]) => args ?? '',
      );
      const root = jsonSchemaOf(name) as JsonSchema;
      for (const [key, value] of Object.entries(root.properties ?? {})) {
        const isBlock = value.properties || value.oneOf || variantsOf(value);
        const own = markers.some((args) => args.split(' without ')[0]?.split(' ')[0] === key);
        const inRoot = !markers[0]?.split(' without ')[1]?.split(' ').includes(key);
        assert.ok(!isBlock || own || inRoot, `${name}.md has no table for ${key}`);
        for (const type of typesOf(value))
          assert.match(page(`${name}.md`), new RegExp(`^### type: ${type}$`, 'm'), `${key} of type ${type}`);
      }
    }
  });

  test('a way that leads nowhere is an error', () => {
    assert.throws(() => schemaAt(jsonSchemaOf('config'), ['server', 'grcp']), /there is no server grcp/);
  });
});

test('every refusal is explained, in sentences', () => {
  assert.deepEqual(Object.keys(REFUSALS).sort(), Object.keys(WIRE).sort());
  for (const [reason, { cause, mend }] of Object.entries(REFUSALS)) {
    for (const text of [cause, mend]) assert.match(text, /^(`|[A-Z0-9]).{9,}[.?]$/s, `${reason}: ${text}`);
    assert.ok(page('refusals.md').includes(`| \`${reason}\` |`));
  }
});

describe('validation codes', () => {
  test('every code in the source has examples, and every one here is in the source', () => {
    const used = new Set<string>();
    for (const file of readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue;
      for (const [code] of readFileSync(join(ROOT, 'src', file), 'utf8').matchAll(/(?<=')(V-\d\d|SCHEMA|FILE)(?=')/g))
        used.add(code);
    }
    assert.deepEqual([...used].sort(), Object.keys(CODES).sort());
  });

  for (const [code, { examples }] of Object.entries(CODES)) {
    test(code, async () => {
      assert.ok(examples.length > 0);
      for (const example of examples) {
        const bad = await problemsOf(badOf(example));
        assert.deepEqual([...new Set(bad.map((problem) => problem.code))], [code], 'the wrong example');
        assert.deepEqual(await problemsOf(goodOf(example)), [], 'the right example');
      }
    });
  }
});

describe('metrics', () => {
  const metrics = metricsInSource(join(ROOT, 'src'));

  test('those of the source and those of the page are the same', () => {
    assert.ok(metrics.length > 20);
    assert.ok(metricTable(metrics).includes('`mcp_identity_decisions_total`'));
    assert.throws(
      () => metricTable([...metrics, { name: 'mcp_identity_new', help: 'New' }]),
      /missing mcp_identity_new/,
    );
    assert.throws(() => metricTable(metrics.slice(1)), /out of date mcp_identity_/);
  });

  test('names tell the kind', () => {
    assert.deepEqual(['a_total', 'a_seconds', 'a_bytes', 'a_timestamp_seconds'].map(kindOfMetric), [
      'counter',
      'histogram',
      'gauge',
      'gauge',
    ]);
    assert.ok(Object.keys(METRIC_NOTES).length === metrics.length);
  });
});

test('every command of the program has a section', () => {
  const commands = commandsIn(help(join(ROOT, 'src/main.ts'), []));
  assert.ok(commands.includes('serve') && commands.includes('check'));
  for (const name of commands) assert.match(page('cli.md'), new RegExp(`^## ${name}$`, 'm'));
});

test('regions: what is around them stays, and a broken marker is an error', async () => {
  const text = 'a\n<!-- generated: x 1 -->\nold\n<!-- end of generated -->\nb';
  const filled = await fillRegions(text, { x: ([one]) => `new ${one}\n` });
  assert.equal(filled, 'a\n<!-- generated: x 1 -->\nnew 1\n<!-- end of generated -->\nb');
  assert.equal(await fillRegions(filled, { x: ([one]) => `new ${one}\n` }), filled);
  await assert.rejects(fillRegions(text, {}), /nothing generates "x"/);
  await assert.rejects(fillRegions('<!-- generated: x -->\n', { x: () => '' }), /1 regions begin, 0 end/);
});

/** Places of the keys that have no description. */
function* described(schema: JsonSchema, place: string): Iterable<string> {
  for (const [key, value] of Object.entries(schema.properties ?? {})) {
    if (value.description === undefined && value.const === undefined) yield `${place}.${key}`;
    yield* described(value, `${place}.${key}`);
  }
  for (const option of [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) yield* described(option, place);
  if (typeof schema.additionalProperties === 'object') yield* described(schema.additionalProperties, `${place}.*`);
  if (schema.items) yield* described(schema.items, `${place}[]`);
}

function variantsOf(schema: JsonSchema): readonly JsonSchema[] | undefined {
  return (
    schema.oneOf ?? (typeof schema.additionalProperties === 'object' ? schema.additionalProperties.oneOf : undefined)
  );
}

function typesOf(schema: JsonSchema): string[] {
  return (variantsOf(schema) ?? []).flatMap((option) => {
    const type = option.properties?.['type']?.const;
    return typeof type === 'string' ? [type] : [];
  });
}
