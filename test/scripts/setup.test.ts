import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { cacheFolder, putInPlace } from '../../scripts/lib/cache.mjs';
import { samePackages } from '../../scripts/lib/dependencies.mjs';
import { findEnvoy } from '../../scripts/lib/envoy.mjs';
import { withLock } from '../../scripts/lib/lock.mjs';
import { runsTypeScript } from '../../scripts/lib/node.mjs';
import { missingPlatformPackages } from '../../scripts/lib/platform-packages.mjs';
import { selectTests } from '../../scripts/lib/test-files.mjs';

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'setup-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('a Node runs TypeScript from 22.18 on, except early 23', () => {
  const versions = ['18.20.8', '20.20.2', '22.17.1', '22.18.0', '22.23.2', '23.5.0', '23.6.0', '24.0.0', '26.10.0'];
  assert.deepEqual(versions.filter(runsTypeScript), ['22.18.0', '22.23.2', '23.6.0', '24.0.0', '26.10.0']);
});

test('node_modules fits the lock when every package for this platform is there, and nothing else', () => {
  const a = { version: '1.0.0', integrity: 'sha512-a' };
  const here = { version: '1.0.0', integrity: 'sha512-h', optional: true, os: ['linux'], cpu: ['x64'] };
  const elsewhere = { ...here, os: ['darwin'] };
  const wanted = { '': {}, 'node_modules/a': a, 'node_modules/here': here, 'node_modules/elsewhere': elsewhere };
  const installed = { 'node_modules/a': a, 'node_modules/here': here };
  const fits = (present: object) => samePackages(wanted, present, 'linux', 'x64');
  assert.equal(fits(installed), true);
  assert.equal(fits({ 'node_modules/a': a }), false, 'the binary for this platform is missing');
  assert.equal(fits({ 'node_modules/here': here }), false, 'a package is missing');
  assert.equal(fits({ ...installed, 'node_modules/a': { ...a, version: '1.0.1' } }), false, 'another version');
  assert.equal(fits({ ...installed, 'node_modules/a': { ...a, integrity: 'sha512-b' } }), false, 'other bytes');
  assert.equal(fits({ ...installed, 'node_modules/b': a }), false, 'one too many');
});

test('platform packages that the lock lacks are found, also below a nested parent', () => {
  const packages = {
    '': { optionalDependencies: {} },
    'node_modules/tool': {
      dev: true,
      optionalDependencies: { '@tool/linux-x64-musl': '1.0.0', '@tool/win32-arm64': '1.0.0' },
    },
    'node_modules/a/node_modules/tool': { optionalDependencies: { '@tool/win32-arm64': '1.0.0' } },
    'node_modules/@tool/win32-arm64': { version: '1.0.0' },
  };
  assert.deepEqual(missingPlatformPackages(packages), [
    {
      path: 'node_modules/@tool/linux-x64-musl',
      entry: { version: '1.0.0', cpu: ['x64'], dev: true, libc: ['musl'], optional: true, os: ['linux'] },
    },
  ]);
});

test('npm test takes files, folders and globs, and refuses what matches nothing', (t) => {
  const root = temporaryFolder(t);
  mkdirSync(join(root, 'test', 'unit'), { recursive: true });
  for (const name of ['b.test.ts', 'unit/a.test.ts', 'unit/helper.ts']) writeFileSync(join(root, 'test', name), '');
  const all = ['test/b.test.ts', 'test/unit/a.test.ts'];
  assert.deepEqual(selectTests([], root), { options: [], files: all });
  assert.deepEqual(selectTests(['--test-only', 'test/unit'], root), { options: ['--test-only'], files: [all[1]] });
  assert.deepEqual(selectTests(['test/*.test.ts', 'test/b.test.ts'], root), { options: [], files: [all[0]] });
  assert.throws(() => selectTests(['test/nothing'], root), /No test file matches test\/nothing/);
  rmSync(join(root, 'test'), { recursive: true });
  assert.throws(() => selectTests([], root), /No test file matches test/);
});

test('the cache is shared between clones, and in the project where nothing else can be written', (t) => {
  const root = temporaryFolder(t);
  assert.equal(cacheFolder('/project', { XDG_CACHE_HOME: root }), join(root, 'envoy-mcp-identity'));
  assert.equal(cacheFolder('/project', { HOME: root }), join(root, '.cache', 'envoy-mcp-identity'));
  writeFileSync(join(root, 'file'), '');
  assert.equal(cacheFolder(root, { XDG_CACHE_HOME: join(root, 'file') }), join(root, '.cache'));
});

test('of several runs that fetch the same, one puts it in place and none leaves anything behind', async (t) => {
  const root = temporaryFolder(t);
  const build = async (work: string) => {
    mkdirSync(join(work, 'made'));
    writeFileSync(join(work, 'made', 'file'), 'whole');
    return join(work, 'made');
  };
  await Promise.all([1, 2, 3].map(() => putInPlace(join(root, 'target'), build)));
  const failing = putInPlace(join(root, 'other'), () => Promise.reject(new Error('no network')));
  await assert.rejects(failing, /no network/);
  assert.equal(readFileSync(join(root, 'target', 'file'), 'utf8'), 'whole');
  assert.deepEqual(readdirSync(root), ['target']);
});

test('a lock lets one work at a time, and that of a dead process is taken over', async (t) => {
  const path = join(temporaryFolder(t), 'locks', 'install.lock');
  let inside = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++inside);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
  };
  await Promise.all([1, 2, 3].map(() => withLock(path, t.signal, work)));
  assert.equal(most, 1);
  assert.equal(existsSync(path), false);
  writeFileSync(path, '4194305'); // above Linux's largest process id
  await withLock(path, t.signal, work);
  assert.equal(existsSync(path), false);
});

test('an Envoy that is too old, or a wrapper on PATH, is passed over', async (t) => {
  const root = temporaryFolder(t);
  const envoy = (name: string, version: string) => {
    const path = join(root, name);
    writeFileSync(path, `#!/bin/sh\necho "$0  version: 0a1b2c/${version}/Clean/RELEASE/BoringSSL"\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const old = envoy('old', '1.39.9');
  const recent = envoy('recent', '1.40.1');
  const cached = join(root, `envoy-1.40.0-${process.platform}-${process.arch}`);
  writeFileSync(cached, '');
  chmodSync(cached, 0o755);
  const project = join(import.meta.dirname, '..', '..');
  const find = (env: Record<string, string>) => findEnvoy({ root: project, cache: root, env, signal: t.signal });
  assert.equal(await find({ ENVOY_BIN: recent, PATH: '' }), recent);
  assert.equal(await find({ ENVOY_BIN: old, PATH: '' }), cached);
  assert.equal(await find({ ENVOY_BIN: join(root, 'nowhere'), PATH: '' }), cached);
  envoy('envoy', '1.40.1');
  assert.equal(await find({ PATH: root }), cached);
});
