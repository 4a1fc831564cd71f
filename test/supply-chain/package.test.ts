// The npm package: what is in it, and that it works with nothing but the packages that the lock file says run.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Child } from '../support/child.ts';
import type { Loose } from '../support/good-pair.ts';
import { send } from '../support/http.ts';
import { freePorts } from '../support/ports.ts';

const ROOT = join(import.meta.dirname, '../..');
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
const folder = mkdtempSync(join(tmpdir(), 'package-'));
const home = join(folder, 'node_modules/envoy-mcp-identity');
let packed: string[];

/** Builds a copy of the project and packs it: dist/ of the working copy is left alone. */
before(() => {
  const copy = join(folder, 'copy');
  mkdirSync(copy);
  for (const name of [
    'package.json',
    'package-lock.json',
    'README.md',
    'LICENSE',
    'proto',
    'envoy',
    'src',
    'tsconfig.json',
    'tsconfig.build.json',
  ])
    cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  execFileSync(process.execPath, [TSC, '-p', join(copy, 'tsconfig.build.json')]);
  const args = ['pack', '--json', '--ignore-scripts', '--offline', '--pack-destination', folder];
  const [{ filename, files }]: Loose = JSON.parse(
    execFileSync('npm', args, { cwd: copy, encoding: 'utf8', stdio: 'pipe' }),
  );
  packed = files.map(({ path }: Loose) => path);
  mkdirSync(home, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', home, '--strip-components=1']);
  // What `npm ci --omit=dev --ignore-scripts` makes: the packages of the lock that are not for development.
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  for (const [place, entry] of Object.entries<Loose>(packages)) {
    if (place === '' || entry.dev || entry.devOptional || place.lastIndexOf('node_modules/') > 0) continue;
    mkdirSync(dirname(join(folder, place)), { recursive: true });
    cpSync(join(ROOT, place), join(folder, place), { recursive: true });
  }
});
after(() => rmSync(folder, { recursive: true, force: true }));

const bin = (...args: string[]) => new Child('bin', process.execPath, [join(home, 'dist/main.js'), ...args]);

describe('what is in it', () => {
  test('the program, its protocol files, configurations to copy; no tests, no sources, no maps to them', () => {
    const kinds = new Set(
      packed.map((path) =>
        path.includes('/') ? `${path.split('/')[0]}/*.${path.split('.').slice(1).join('.')}` : path,
      ),
    );
    const wanted = [
      'LICENSE',
      'README.md',
      'package.json',
      'dist/*.js',
      'dist/*.d.ts',
      'envoy/*.yaml',
      'envoy/*.sidecar.yaml',
    ];
    for (const kind of kinds) assert.ok(wanted.includes(kind) || kind.startsWith('proto/'), kind);
    const types = packed.filter((path) => path.endsWith('.d.ts') && !path.startsWith('dist/verify/'));
    assert.deepEqual(types, [], 'types of what cannot be imported');
    const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    );
    const built = packed
      .filter((path) => path.endsWith('.js'))
      .map((path) => relative('dist', path).replace(/\.js$/, '.ts'));
    assert.deepEqual(built.sort(), sources.sort());
  });
});

describe('installed without development packages and without running install scripts', () => {
  test('schema', async () => {
    const child = bin('schema', 'route');
    assert.equal(await child.exited, 0, child.stderr);
    assert.equal(JSON.parse(child.stdout).type, 'object');
  });

  test('check, over one of its configurations', async () => {
    const child = bin('check', '--config', join(home, 'envoy/tools.sidecar.yaml'));
    assert.equal(await child.exited, 0, child.stderr);
    assert.match(child.stdout, /^no problems found in \d+ routes\n$/);
  });

  test('serve gets ready, and ends with 0', async () => {
    const [grpc, http, admin] = (await freePorts(3)) as [number, number, number];
    const file = join(folder, 'sidecar.yaml');
    const server = { grpc: `127.0.0.1:${grpc}`, http: `127.0.0.1:${http}`, admin: `127.0.0.1:${admin}` };
    writeFileSync(file, JSON.stringify({ server, publicUrl: 'https://mcp.example.com' }));
    const child = bin('serve', '--config', file);
    await child.until(() => child.stderr.includes('"message":"serving"'));
    assert.equal((await send(`http://127.0.0.1:${admin}/readyz`)).status, 200);
    assert.equal(await child.stop('SIGTERM'), 0);
  });

  test("import from 'envoy-mcp-identity/verify'", async () => {
    const use =
      "const { createVerifier } = await import('envoy-mcp-identity/verify'); console.log(typeof createVerifier);";
    writeFileSync(join(folder, 'use.mjs'), use);
    const child = new Child('use', process.execPath, [join(folder, 'use.mjs')]);
    assert.equal(await child.exited, 0, child.stderr);
    assert.equal(child.stdout, 'function\n');
  });
});
