import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { pathText } from '../../../src/core/problem.ts';
import { GOOD_ENV, goodPair, type Loose } from '../../support/good-pair.ts';

const folder = mkdtempSync(join(tmpdir(), 'mcp-identity-load-'));
after(() => rmSync(folder, { recursive: true }));

const BASE = { publicUrl: 'https://mcp.example.com' };

function load(config: unknown, env: Record<string, string> = {}) {
  const file = join(folder, 'sidecar.yaml');
  writeFileSync(file, typeof config === 'string' || Buffer.isBuffer(config) ? config : JSON.stringify(config, null, 1));
  return loadConfig(file, env);
}

function told(config: unknown, env: Record<string, string> = {}): string[] {
  const loaded = load(config, env);
  return loaded.ok ? [] : loaded.problems.map(({ code, path, message }) => `${code} ${pathText(path)}: ${message}`);
}

function loadedOf(config: unknown, env: Record<string, string> = {}) {
  const loaded = load(config, env);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.config;
}

describe('secrets', () => {
  test('are literals, variables or files beside the config', () => {
    writeFileSync(join(folder, 'key.txt'), 'from file\r\n');
    const { secrets } = loadedOf(
      {
        ...BASE,
        secrets: { a: 'literal', b: { env: 'B' }, c: { file: 'key.txt' }, d: { file: join(folder, 'key.txt') } },
      },
      { B: 'from env' },
    );
    assert.deepEqual(
      Object.values(secrets).map((secret) => secret.reveal()),
      ['literal', 'from env', 'from file', 'from file'],
    );
  });

  test('keep all but one newline at the end of their file', () => {
    writeFileSync(join(folder, 'key.txt'), ' a\n\n');
    assert.equal(loadedOf({ ...BASE, secrets: { a: { file: 'key.txt' } } }).secrets['a']?.reveal(), ' a\n');
  });

  test('that are missing are named by their source', () => {
    writeFileSync(join(folder, 'empty.txt'), '\n');
    writeFileSync(join(folder, 'odd.txt'), Buffer.from([0xff, 0xfe]));
    const config = {
      ...BASE,
      secrets: {
        a: { env: 'A' },
        b: { env: 'B' },
        c: { file: 'none' },
        d: { file: 'empty.txt' },
        e: { file: 'odd.txt' },
        f: { file: '.' },
      },
    };
    assert.deepEqual(told(config, { B: '' }), [
      'V-16 secrets.a: the environment variable A is not set',
      'V-16 secrets.b: the environment variable B is empty',
      'V-16 secrets.c: the file none cannot be read (ENOENT)',
      'V-16 secrets.d: the file empty.txt is empty',
      'V-16 secrets.e: the file odd.txt is not UTF-8',
      'V-16 secrets.f: the file . cannot be read (EISDIR)',
    ]);
  });

  test('written in place of their source are not told either', () => {
    const config = { ...BASE, secrets: { a: { env: 'hunter2 hunter2' }, b: { file: '-----BEGIN KEY-----\nhunter2' } } };
    assert.deepEqual(told(config), [
      'V-16 secrets.a: the environment variable is not set',
      'V-16 secrets.b: the file cannot be read (ENOENT)',
    ]);
  });

  test('are never told, wherever they were written', () => {
    const MARK = 'hunter2hunter2';
    let tried = 0;
    // The name of a variable is told: who sets it must know which.
    for (const path of leaves(goodPair().sidecar).filter((one) => one.at(-1) !== 'env')) {
      for (const value of [MARK, [MARK], `https://user:${MARK}@idp.example.com`, `redis://:${MARK}@host`]) {
        const { sidecar } = goodPair();
        const last = path.at(-1) as string;
        path.slice(0, -1).reduce((at, key) => at[key], sidecar)[last] = value;
        const loaded = load(sidecar, GOOD_ENV);
        const problems = loaded.ok ? loaded.warnings : loaded.problems;
        assert.doesNotMatch(JSON.stringify(problems), /hunter2/, path.join('.'));
        tried++;
      }
    }
    assert.ok(tried > 200, `${tried} places`);
  });
});

function leaves(value: Loose, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  const below = Array.isArray(value)
    ? value.map((item, i) => leaves(item, [...path, i]))
    : Object.entries(value).map(([key, item]) => leaves(item, [...path, key]));
  return [...(path.length > 0 ? [path] : []), ...below.flat()];
}

test('paths are absolute and start at the config file', () => {
  const config = loadedOf({
    ...BASE,
    envoy: { bootstrap: '../envoy.yaml' },
    vault: { store: 'sqlite:./vault.db' },
    audit: { destination: 'file:audit.jsonl' },
  });
  assert.deepEqual(
    [config.envoy.bootstrap, config.vault.store, config.audit.destination],
    [join(folder, '../envoy.yaml'), `sqlite:${join(folder, 'vault.db')}`, `file:${join(folder, 'audit.jsonl')}`],
  );
  const other = loadedOf({ ...BASE, vault: { store: 'redis://127.0.0.1' } });
  assert.deepEqual(
    [other.envoy.bootstrap, other.vault.store, other.audit.destination],
    [undefined, 'redis://127.0.0.1', 'stdout'],
  );
});

describe('who can reach gRPC', () => {
  for (const grpc of ['127.0.0.1:1', '127.9.8.7:1', 'localhost:1', '[::1]:1', 'unix:/run/x.sock']) {
    test(`${grpc}: this machine`, () => assert.deepEqual(told({ ...BASE, server: { grpc } }), []));
  }
  for (const grpc of [
    '0.0.0.0:1',
    '[::]:1',
    '10.0.0.1:1',
    'identity:1',
    '127.0.0.1.nip.io:1',
    '128.0.0.1:1',
    '[::ffff:10.0.0.1]:1',
  ]) {
    test(`${grpc}: others`, () =>
      assert.match(told({ ...BASE, server: { grpc } }).join(), /^(V-30|SCHEMA) server\.grpc/));
  }
  test('others with certificates', () => {
    for (const name of ['cert', 'key', 'ca']) writeFileSync(join(folder, `${name}.pem`), 'pem');
    const grpcTls = { cert: 'cert.pem', key: 'key.pem', clientCa: 'ca.pem' };
    assert.equal(
      loadedOf({ ...BASE, server: { grpc: '0.0.0.0:1', grpcTls } }).server.grpcTls?.clientCa,
      join(folder, 'ca.pem'),
    );
  });
});

test('listeners may share port 0, but no other', () => {
  assert.deepEqual(told({ ...BASE, server: { grpc: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' } }), []);
  assert.match(
    told({ ...BASE, server: { http: '127.0.0.1:9193' } }).join(),
    /server\.admin: is the address of server\.http too/,
  );
  assert.match(told({ ...BASE, server: { http: '127.0.0.1:70000' } }).join(), /the port does not exist/);
});

describe('the file', () => {
  test('that is missing', () => {
    const loaded = loadConfig(join(folder, 'none.yaml'), {});
    assert.ok(!loaded.ok);
    assert.equal(loaded.problems[0]?.code, 'FILE');
    assert.equal(loaded.problems[0]?.file, join(folder, 'none.yaml'));
  });
  test('that is not UTF-8', () => assert.deepEqual(told(Buffer.from([0x61, 0x3a, 0xff])), ['FILE : is not UTF-8']));
  test('that is too long', () => assert.match(told('#'.repeat(17 * 1024 * 1024)).join(), /^FILE : is larger than/));
});

test('problems carry file and line, and the config is kept for checking further', () => {
  const loaded = load(`publicUrl: https://mcp.example.com\nserver:\n  grpc: 0.0.0.0:9191\n`);
  assert.ok(!loaded.ok);
  assert.deepEqual(
    loaded.problems.map(({ file, line }) => [file, line]),
    [[join(folder, 'sidecar.yaml'), 3]],
  );
  assert.equal(loaded.draft?.publicUrl, 'https://mcp.example.com');
});
