// scripts/run.mjs as a whole, in a small project of its own with stand-ins for npm and Envoy.
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';

interface Project {
  readonly root: string;
  write(name: string, content: string, mode?: number): string;
  start(args: readonly string[], env?: Record<string, string>): ChildProcessWithoutNullStreams;
  run(args: readonly string[], env?: Record<string, string>): Promise<{ code: number; stdout: string; stderr: string }>;
}

function createProject(t: TestContext): Project {
  const root = mkdtempSync(join(tmpdir(), 'run-'));
  const write: Project['write'] = (name, content, mode = 0o644) => {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };
  cpSync(join(import.meta.dirname, '..', '..', 'scripts'), join(root, 'scripts'), { recursive: true });
  write('package.json', '{"type":"module"}');
  write('package-lock.json', '{"packages":{"":{}}}');
  write('node_modules/.package-lock.json', '{"packages":{}}');
  const envoy = write('bin/an-envoy', '#!/bin/sh\necho "envoy  version: 0a1b/1.40.0/Clean/RELEASE/BoringSSL"\n', 0o755);

  const start: Project['start'] = (args, extra = {}) => {
    const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
    const own = { XDG_CACHE_HOME: join(root, 'cache'), ENVOY_BIN: envoy, REDIS_SERVER_BIN: process.execPath };
    const PATH = [join(root, 'bin'), dirname(process.execPath), process.env['PATH']].join(':');
    const child = spawn(process.execPath, [join(root, 'scripts', 'run.mjs'), ...args], {
      cwd: root,
      env: { ...inherited, ...own, PATH, ...extra },
      signal: t.signal,
    });
    t.after(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    return child;
  };
  const run: Project['run'] = async (args, env) => {
    const child = start(args, env);
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number]>,
    ]);
    return { code, stdout, stderr };
  };
  t.after(() => rmSync(root, { recursive: true, force: true }));
  return { root, write, start, run };
}

test('runs the tests with the binaries in their environment; the runner has the last word', async (t) => {
  const project = createProject(t);
  project.write(
    'test/a.test.ts',
    "import { test } from 'node:test'; import assert from 'node:assert'; const x: string = process.env['ENVOY_BIN'] ?? '';" +
      "test('env', () => { assert.match(x, /an-envoy$/); assert.ok(process.env['REDIS_SERVER_BIN']); });",
  );
  const { code, stdout, stderr } = await project.run(['test']);
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /✔ env.*ℹ tests 1\n.*ℹ pass 1\nℹ fail 0\n.*ℹ duration_ms [\d.]+\s*$/s);
});

test('fails with a failing test, and when there is none', async (t) => {
  const project = createProject(t);
  const none = await project.run(['test']);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /FAILED: No test file matches test/);
  project.write('test/a.test.ts', "import { test } from 'node:test'; test('a', () => { throw new Error('no'); });");
  const failing = await project.run(['test', 'test/a.test.ts']);
  assert.equal(failing.code, 1);
  assert.match(failing.stdout, /ℹ fail 1\n/);
});

test('passes arguments, signals and the exit code between the terminal and the demo', async (t) => {
  const project = createProject(t);
  project.write(
    'demo/main.ts',
    "process.once('SIGTERM', () => { process.exitCode = 7; clearTimeout(timer); });" +
      "const timer: NodeJS.Timeout = setTimeout(() => {}, 30_000); console.log('up', process.argv.slice(2).join());",
  );
  const child = project.start(['demo', '--fast', 'x']);
  const [greeting] = (await once(child.stdout, 'data')) as [Buffer];
  assert.equal(greeting.toString(), 'up --fast,x\n');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [7, null]);
});

test('installs once when two runs find node_modules out of step', async (t) => {
  const project = createProject(t);
  project.write('demo/main.ts', "console.log('demo');");
  project.write('package-lock.json', '{"packages":{"":{},"node_modules/a":{"version":"1.0.0"}}}');
  // Installs when told to, so that the other run has to wait.
  project.write(
    'bin/npm',
    '#!/bin/sh\necho "$@" >> npm.log\nwhile [ ! -e go ]; do sleep 0.05; done\ncp package-lock.json node_modules/.package-lock.json\n',
    0o755,
  );
  const runs = [project.start(['demo']), project.start(['demo'])];
  const waiting = new Promise<void>((resolve) => {
    for (const { stderr } of runs) stderr.on('data', (line) => String(line).includes('waiting for it') && resolve());
  });
  const exits = Promise.all(runs.map((child) => once(child, 'exit')));
  await waiting;
  project.write('go', '');
  assert.deepEqual(await exits, [
    [0, null],
    [0, null],
  ]);
  assert.match(readFileSync(join(project.root, 'npm.log'), 'utf8'), /^ci --include=dev [^\n]*\n$/);
  assert.equal((await project.run(['demo'])).code, 0);
});

test('says what to do when npm cannot reach its registry', async (t) => {
  const project = createProject(t);
  project.write('package-lock.json', '{"packages":{"":{},"node_modules/a":{"version":"1.0.0"}}}');
  project.write('bin/npm', '#!/bin/sh\necho "npm error code ECONNREFUSED" >&2\nexit 1\n', 0o755);
  const { code, stderr } = await project.run(['test']);
  assert.equal(code, 1);
  assert.match(stderr, /ECONNREFUSED\n\[setup\] FAILED: npm ci failed\n\[setup\] {3}Is the network there\?/);
});

test('an interrupted installation leaves no lock and ends as the signal says', async (t) => {
  const project = createProject(t);
  project.write('package-lock.json', '{"packages":{"":{},"node_modules/a":{"version":"1.0.0"}}}');
  project.write('bin/npm', '#!/bin/sh\necho started > npm.log\nexec sleep 60\n', 0o755);
  const child = project.start(['test']);
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (line) => String(line).includes('npm ci ...') && resolve());
  });
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [143, null]);
  assert.throws(() => readFileSync(join(project.root, '.cache', 'install.lock')), /ENOENT/);
});
