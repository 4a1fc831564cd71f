import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Source } from './architecture/imports.ts';
import { readSources } from './architecture/read-sources.ts';
import { findViolations } from './architecture/rules.ts';

const ROOT = join(import.meta.dirname, '..');

/** As an editor would show it: `src/core/a.ts:3: core may not import net (src/net/b.ts)`. */
function report(sources: readonly Source[]): string[] {
  return findViolations(sources).map(({ path, line, problem }) => `${path}:${line}: ${problem}`);
}

function planted(files: Record<string, string>): string[] {
  return report(Object.entries(files).map(([path, text]) => ({ path, text })));
}

test('the sources keep to the architecture', () => {
  assert.deepEqual(report(readSources(ROOT)), []);
});

test('a violation planted in a copy of the sources is found, and is the only one that is new', (t) => {
  const copy = mkdtempSync(join(tmpdir(), 'architecture-'));
  t.after(() => rmSync(copy, { recursive: true }));
  cpSync(join(ROOT, 'src'), join(copy, 'src'), { recursive: true, dereference: true });
  const before = report(readSources(copy));
  mkdirSync(join(copy, 'src', 'core', 'deep'), { recursive: true });
  writeFileSync(join(copy, 'src', 'core', 'deep', 'planted.ts'), "\nimport { x } from '../../net/planted.ts';\n");
  const added = report(readSources(copy)).filter((line) => !before.includes(line));
  assert.deepEqual(added, ['src/core/deep/planted.ts:2: core may not import net (src/net/planted.ts)']);
});

test('no sources at all is a failure', (t) => {
  const empty = mkdtempSync(join(tmpdir(), 'architecture-'));
  t.after(() => rmSync(empty, { recursive: true }));
  mkdirSync(join(empty, 'src'));
  assert.deepEqual(report(readSources(empty)), ['src/:1: no sources found']);
});

const CONNECTS = 'makes HTTP requests: only src/net may';
const EXITS = 'ends the process: only src/main.ts may';

const VIOLATIONS: readonly (readonly [string, Record<string, string>, readonly string[]])[] = [
  [
    'every way to write an import is seen',
    {
      'src/core/a.ts': [
        "import { b } from '../net/b.ts';",
        'import type {\n  C,\n} from "../net/c.ts";',
        "import d, * as e from '../net/d.ts';",
        "import '../net/e.ts';",
        "export { f } from '../net/f.ts';",
        "const g = await import('../net/g.ts');",
        "type H = import('../net/h.ts').H;",
        "const text = `${await import('../net/i.ts')}`;",
      ].join('\n'),
    },
    [
      'src/core/a.ts:1: core may not import net (src/net/b.ts)',
      'src/core/a.ts:2: core may not import net (src/net/c.ts)',
      'src/core/a.ts:5: core may not import net (src/net/d.ts)',
      'src/core/a.ts:7: core may not import net (src/net/f.ts)',
      'src/core/a.ts:6: core may not import net (src/net/e.ts)',
      'src/core/a.ts:8: core may not import net (src/net/g.ts)',
      'src/core/a.ts:9: core may not import net (src/net/h.ts)',
      'src/core/a.ts:10: core may not import net (src/net/i.ts)',
    ],
  ],
  [
    'what follows a regular expression that holds quotes',
    { 'src/core/a.ts': "const quotes = /['`/\\]\"]/g;\nimport { a } from '../net/a.ts';" },
    ['src/core/a.ts:2: core may not import net (src/net/a.ts)'],
  ],
  [
    'a computed import',
    { 'src/core/a.ts': 'const a = await import(name);' },
    ['src/core/a.ts:1: computed import: nobody can see what it brings in'],
  ],
  [
    'a feature that imports config, an adapter, the root',
    {
      'src/authn/jwt.ts': "import { a } from '../config/schema.ts';\nimport { b } from '../envoy/edits.ts';",
      'src/strategies/x.ts': "import { c } from '../app.ts';",
    },
    [
      'src/authn/jwt.ts:1: authn may not import config (src/config/schema.ts)',
      'src/authn/jwt.ts:2: authn may not import envoy (src/envoy/edits.ts)',
      'src/strategies/x.ts:1: strategies may not import app (src/app.ts)',
    ],
  ],
  [
    'main beside the command line',
    { 'src/main.ts': "import { start } from './app.ts';" },
    ['src/main.ts:1: main may not import app (src/app.ts)'],
  ],
  ['an unknown room', { 'src/utils/a.ts': '' }, ['src/utils/a.ts:1: the room utils is not in the table']],
  [
    'a way out of src',
    { 'src/core/a.ts': "import { x } from '../../test/support/x.ts';" },
    ['src/core/a.ts:1: imports test/support/x.ts, outside src'],
  ],
  [
    'a circle of files, of types too',
    {
      'src/core/a.ts': "import { b } from './b.ts';",
      'src/core/b.ts': "import { c } from './c.ts';",
      'src/core/c.ts': "import { x } from './x.ts';\nimport type { A } from './a.ts';",
      'src/core/x.ts': 'export const x = 1;',
    },
    ['src/core/c.ts:2: cycle: src/core/a.ts → src/core/b.ts → src/core/c.ts → src/core/a.ts'],
  ],
  [
    'a file that imports itself',
    { 'src/core/a.ts': "import { a } from './a.ts';" },
    ['src/core/a.ts:1: cycle: src/core/a.ts → src/core/a.ts'],
  ],
  [
    'fetch outside net',
    {
      'src/authn/a.ts': 'const answer = await fetch(url);\nreturn globalThis.fetch(url);\nif (x) fetch(url);',
      'src/net/a.ts': 'const answer = await fetch(url);',
    },
    [`src/authn/a.ts:1: ${CONNECTS}`, `src/authn/a.ts:3: ${CONNECTS}`, `src/authn/a.ts:2: ${CONNECTS}`],
  ],
  [
    "Node's clients outside net",
    {
      'src/http/a.ts': "import http, { createServer } from 'node:http';\nhttp.get(url);",
      'src/http/b.ts': "import * as https from 'https';\nconst s = https\n  .request(1);",
      'src/http/c.ts': "import { createSecureServer, connect as open } from 'node:http2';",
      'src/http/d.ts': "import { request } from 'undici';",
    },
    ['src/http/a.ts:2', 'src/http/b.ts:2', 'src/http/c.ts:1', 'src/http/d.ts:1'].map((at) => `${at}: ${CONNECTS}`),
  ],
  [
    'the end of the process outside main',
    {
      'src/app.ts': "process.exit(1);\nprocess['exit'](1);",
      'src/cli/serve.ts': "import { exit } from 'node:process';",
      'src/main.ts': 'process.exit(0);',
    },
    [`src/app.ts:1: ${EXITS}`, `src/app.ts:2: ${EXITS}`, `src/cli/serve.ts:1: ${EXITS}`],
  ],
  ['a long file', { 'src/core/a.ts': 'f();\n'.repeat(301) }, ['src/core/a.ts:301: 301 lines, 300 at most']],
  [
    'barrels',
    {
      'src/core/index.ts': 'export const a = 1;',
      'src/core/all.ts': "// for convenience\nexport { a } from './a.ts';\nexport type { B } from './b.ts';\n",
      'src/core/some.ts': "export * from './a.ts';\nexport const a = 1;",
    },
    [
      'src/core/index.ts:1: a barrel: import from the file that defines the name',
      'src/core/all.ts:1: a barrel: import from the file that defines the name',
      'src/core/some.ts:1: export *: import from the file that defines the name',
    ],
  ],
];

for (const [name, files, expected] of VIOLATIONS) {
  test(`found: ${name}`, () => {
    assert.deepEqual(planted(files), expected);
  });
}

test('what only looks like a violation is none', () => {
  const source = [
    "// import { a } from '../net/a.ts'; process.exit(1)",
    "/* fetch(url)\n import '../net/a.ts' */",
    'const text = "import { a } from \'../net/a.ts\'";',
    "const template = `import '../net/a.ts'; ${text + '`'} fetch(url)`;",
    "const pattern = /['\"`/*] import '..\\/net\\/a.ts' fetch(/;",
    "const half = total / 2; const other = 'a/b';",
    'interface Egress { fetch(url: string): Promise<Response>; }',
    'const egress: Egress = { async fetch(url) { return other.fetch(url); } };',
    'class Keys { #fetch(url: string) { return this.#fetch(url); } }',
    'process.exitCode = 1;',
    "import type { Socket } from 'node:net';",
    "import { createServer, type Agent } from 'node:http';",
    "import { type A, b } from './b.ts';",
    "import { z } from 'zod';",
    "export { b } from './b.ts';",
    'const url = import.meta.url;',
  ].join('\n');
  assert.deepEqual(planted({ 'src/core/a.ts': source, 'src/core/b.ts': 'export const b = 1;' }), []);
});
