// Every fenced block of every page is of a kind that something checks; see fence-kinds.ts.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { parse } from 'yaml';
import { Child } from '../support/child.ts';
import { envoyBinary } from '../support/stack.ts';
import { KINDS } from './fence-kinds.ts';
import { type Fence, fences } from './fences.ts';
import { faultOf } from './named-tests.ts';
import { ROOT, readPages } from './page-list.ts';
import { commandsOf } from './shell-commands.ts';
import { argumentsOfProgram, checkShell } from './shell-samples.ts';

interface Sample extends Fence {
  readonly page: string;
  readonly kind: string;
}

const pages = readPages();
const samples: Sample[] = [...pages].flatMap(([page, text]) =>
  fences(text).map((fence) => ({ ...fence, page, kind: kindOf(fence.info) })),
);

/** `yaml file=envoy.yaml` is of the kind `yaml file`. */
function kindOf(info: readonly string[]): string {
  return info.join(' ').replace(/=\S+$/, '');
}

test('there are samples', () => assert.ok(samples.length > 100, String(samples.length)));

describe('each is closed, and of a kind that is known', () => {
  for (const [page, text] of pages) {
    test(page, () => {
      const here = samples.filter((sample) => sample.page === page);
      const marks = text.match(/^[ \t]*(?:```|~~~)/gm) ?? [];
      assert.equal(marks.length, here.length * 2, 'a fence is not closed, or deeper inside of a list than can be read');
      for (const { kind, line } of here)
        assert.ok(Object.hasOwn(KINDS, kind), `line ${line}: a block of kind "${kind}"`);
    });
  }
});

test('every kind says how it is checked, or why there is nothing to check', () => {
  for (const [kind, { check, testedBy, because }] of Object.entries(KINDS)) {
    assert.ok(check ?? testedBy ?? because, kind);
    const here = samples.filter((sample) => sample.kind === kind);
    if (!testedBy || here.length === 0) continue;
    assert.equal(faultOf(testedBy), undefined);
    for (const { page, line } of here)
      assert.ok(testedBy.pages.includes(page), `${page}:${line}: nobody tests ${kind}`);
  }
});

describe('each is what its kind says', () => {
  for (const { page, line, kind, text } of samples) {
    const check = KINDS[kind]?.check;
    // The examples of validation.md are wrong on purpose; reference.test.ts runs them.
    const isWrong = page === 'docs/reference/validation.md' && kind === 'yaml';
    if (check && !isWrong) test(`${page}:${line}: ${kind}`, () => check(text));
  }
});

test('no command of a shell sample is wrong usage', async (t) => {
  const commands = samples
    .filter(({ kind }) => kind === 'sh' || kind === 'sh background')
    .flatMap(({ page, line, text }) =>
      commandsOf(text).flatMap((command) => {
        const argv = argumentsOfProgram(command);
        return argv ? [{ argv, place: `${page}:${line}` }] : [];
      }),
    );
  assert.ok(commands.length >= 5, `${commands.length} commands`);
  const ends = await endsOf(
    t,
    commands.map(({ argv }) => argv),
  );
  for (const [i, { argv, place }] of commands.entries()) {
    // The files are not there, so none succeeds; wrong usage is 2, with the help.
    assert.ok(!isWrongUsage(ends[i]), `${place}: ${argv.join(' ')}\n${ends[i]?.said}`);
  }
});

test('Envoy takes the routes of every sample', async (t) => {
  const shown = samples.filter(({ kind }) => kind === 'yaml envoy');
  assert.ok(shown.length >= 3);
  const folder = folderOf(t);
  for (const { page, line, text } of shown) {
    writeFileSync(join(folder, 'envoy.json'), JSON.stringify(withRoutes(text)));
    const envoy = new Child('envoy', envoyBinary(), ['--mode', 'validate', '-c', join(folder, 'envoy.json')]);
    assert.equal(await envoy.exited, 0, `${page}:${line}: ${envoy.stderr}`);
  }
});

test('Node can read the JavaScript', async (t) => {
  const folder = folderOf(t);
  for (const { page, line, text } of samples.filter(({ kind }) => kind === 'js')) {
    writeFileSync(join(folder, 'sample.mjs'), text);
    const node = new Child('node', process.execPath, ['--check', join(folder, 'sample.mjs')]);
    assert.equal(await node.exited, 0, `${page}:${line}: ${node.stderr}`);
  }
});

describe('what is wrong is found', () => {
  const wrong: Record<string, string> = {
    'a command that does not parse': 'for x in; do',
    'a script that package.json does not have': 'npm run deploy',
    'an option that the script does not have': 'npm run bench -- --quick --slow',
    'a file that is not there': 'scripts/try-nothing.sh',
  };
  for (const [what, text] of Object.entries(wrong)) test(what, () => assert.throws(() => checkShell(text)));

  test('commands of the program, wherever they stand', async (t) => {
    const script = `X=1 envoy-mcp-identity check --confg a.yaml && \\
      y="$(envoy-mcp-identity signing-key --config a.yaml --backend "b c")" # envoy-mcp-identity no
      for f in *; do docker compose exec -T identity node dist/main.js grants lost --config $f; done | grep envoy-mcp-identity`;
    const argvs = commandsOf(script).flatMap((command) => {
      const argv = argumentsOfProgram(command);
      return argv ? [argv] : [];
    });
    assert.deepEqual(argvs, [
      ['check', '--confg', 'a.yaml'],
      ['signing-key', '--config', 'a.yaml', '--backend', 'b c'],
      ['grants', 'lost', '--config', '$f'],
    ]);
    assert.deepEqual((await endsOf(t, argvs)).map(isWrongUsage), [true, false, true]);
  });

  test('policies inside other files, and files of ours without their name', () => {
    assert.throws(() => KINDS['yaml']?.check?.('metadata: {mcp.identity: {backend: b}}'), /incomingAuth/);
    assert.throws(() => KINDS['yaml']?.check?.('publicUrl: https://a.example.com'), /yaml sidecar/);
    assert.throws(() => KINDS['yaml']?.check?.('a: ['));
  });
});

interface End {
  readonly code: number;
  readonly said: string;
}

function isWrongUsage(end: End | undefined): boolean {
  return end === undefined || (end.code === 2 && /^envoy-mcp-identity /m.test(end.said));
}

/** Runs the program with each list of arguments, where there are no files. */
async function endsOf(t: TestContext, argvs: readonly (readonly string[])[]): Promise<End[]> {
  const child = new Child(
    'commands',
    'sh',
    ['-c', `cd '${folderOf(t)}' && exec '${process.execPath}' '${join(ROOT, 'test/support/commands-child.ts')}'`],
    { COMMANDS: JSON.stringify(argvs), NO_COLOR: '1' },
  );
  assert.equal(await child.exited, 0, child.stderr);
  const told = child.stdout.trim().split('\n');
  return told.map((line) => JSON.parse(line) as End);
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'samples-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

// biome-ignore lint/suspicious/noExplicitAny: a document of any shape
type Loose = any;

/** The configuration that the examples of validation.md change, with these routes, and the clusters they name. */
function withRoutes(text: string): Loose {
  const envoy: Loose = parse(readFileSync(join(ROOT, 'scripts/docs/base.envoy.yaml'), 'utf8'));
  const shown: Loose = parse(text);
  const manager = envoy.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  manager.route_config.virtual_hosts[0].routes = Array.isArray(shown) ? shown : shown.routes;
  const [cluster] = envoy.static_resources.clusters;
  for (const [, name] of JSON.stringify(shown).matchAll(/"cluster":"([^"]+)"/g))
    if (name !== cluster.name) envoy.static_resources.clusters.push({ ...structuredClone(cluster), name });
  return envoy;
}
