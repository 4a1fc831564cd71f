// Pages: links lead somewhere, and the index leads to every page.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { jsonSchemaOf } from '../../src/cli/schema.ts';
import { routePolicySchema } from '../../src/policy/route-policy.ts';
import { proseOf } from './fences.ts';
import { ROOT, readPages } from './page-list.ts';

const texts = readPages();
const pages = [...texts.keys()];

test('there are pages', () => assert.ok(pages.length >= 12, pages.join()));

describe('links', () => {
  for (const [page, text] of texts) {
    test(page, () => {
      // Code may look like a link.
      const prose = proseOf(text).replace(/`[^`\n]*`/g, '');
      for (const [, target = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? page : relative(ROOT, join(ROOT, dirname(page), path));
        assert.ok(existsSync(join(ROOT, file)), `${target}: there is no ${file}`);
        if (anchor === undefined) continue;
        const headings = anchorsOf(texts.get(file) ?? readFileSync(join(ROOT, file), 'utf8'));
        assert.ok(headings.has(anchor), `${target}: ${file} has no heading for it (${[...headings].join(', ')})`);
      }
    });
  }

  test('every page of docs/ can be reached from its index', () => {
    const index = texts.get('docs/README.md') ?? '';
    const missing = pages.filter(
      (page) =>
        page.startsWith('docs/') && page !== 'docs/README.md' && !index.includes(`(${page.slice('docs/'.length)})`),
    );
    assert.deepEqual(missing, []);
  });
});

/** As GitHub makes them out of headings. */
function anchorsOf(markdown: string): Set<string> {
  const headings = [...proseOf(markdown).matchAll(/^#+ (.*)$/gm)];
  return new Set(
    headings.map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

test('docs/reference/envoy.schema.json leads to the metadata of routes', () => {
  const text = readFileSync(join(ROOT, 'docs/reference/envoy.schema.json'), 'utf8');
  // What an editor does for the place where people write a policy: follow `properties` and `items`.
  const shipped = parse(readFileSync(join(ROOT, 'envoy/envoy.yaml'), 'utf8'));
  const found = [...policiesBySchema(JSON.parse(text), JSON.parse(text), shipped)];
  assert.equal(found.length, 3);
  for (const policy of found) assert.ok(routePolicySchema.safeParse(policy).success);
  assert.equal(jsonSchemaOf('route')['$schema'], JSON.parse(text).$schema);
});

// biome-ignore lint/suspicious/noExplicitAny: a schema and a document, both of any shape
type Loose = any;

/** The parts of `value` that the schema says are described by route.schema.json. */
function* policiesBySchema(root: Loose, schema: Loose, value: Loose): Iterable<unknown> {
  if (schema === undefined || value === undefined || value === null) return;
  const { $ref } = schema;
  if ($ref === './route.schema.json') yield value;
  else if ($ref) yield* policiesBySchema(root, root.$defs[$ref.split('/').at(-1)], value);
  for (const [key, inner] of Object.entries(schema.properties ?? {})) yield* policiesBySchema(root, inner, value[key]);
  if (schema.items && Array.isArray(value)) for (const item of value) yield* policiesBySchema(root, schema.items, item);
}
