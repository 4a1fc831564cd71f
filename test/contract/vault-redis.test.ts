import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openVault } from '../../src/upstream/vault/open.ts';
import { connectRedis } from '../../src/upstream/vault/redis-connection.ts';
import type { RedisConnection } from '../../src/upstream/vault/redis-connection.ts';
import { recordKeyOf } from '../../src/upstream/vault/record-key.ts';
import { openRedisStore } from '../../src/upstream/vault/redis.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { DURABLE, startRedis } from '../support/redis.ts';
import type { RedisOptions, RedisServer } from '../support/redis.ts';
import { startVaultProcess } from '../support/vault-process.ts';
import { ALICE, BOB, grantContent, newKey, testTools, vaultConfig } from '../support/vault-tools.ts';
import { countTogether, useUpTogether, writeUntilKilled } from './vault-processes.ts';
import { vaultContract } from './vault-suite.ts';

const quiet = testTools().log;
const keys = [newKey('k1')];
const opened: Vault[] = [];
const open = async (url: string, tools = testTools()) => {
  const vault = await openVault(vaultConfig(url, keys), tools);
  opened.push(vault);
  return vault;
};
const closeAll = () => Promise.all(opened.splice(0).map((vault) => vault.close()));

async function filesOf(directory: string): Promise<Buffer> {
  const names = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile());
  return Buffer.concat(await Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name)))));
}

vaultContract('redis', async () => {
  const server = await startRedis({ settings: { ...DURABLE, rdbcompression: 'no' } });
  const admin = await connectRedis(server.url, quiet, () => {});
  const store = await openRedisStore(server.url, quiet);
  return {
    open: (keys) => openVault(vaultConfig(server.url, keys), testTools()),
    store,
    pass: async (ms) => {
      await delay(ms + 20); // the server's clock counts
    },
    atRest: async () => {
      await admin.command('SAVE');
      const files = await readdir(server.directory, { recursive: true });
      assert.ok(files.includes('dump.rdb') && files.some((name) => name.endsWith('.aof')), files.join());
      return filesOf(server.directory);
    },
    clear: async () => void (await admin.command('FLUSHALL')),
    dispose: async () => {
      await Promise.all([store.close(), admin.close()]);
      await server.dispose();
    },
  };
});

/** Asks until the vault answers again. */
async function answering(vault: Vault): Promise<void> {
  const until = Date.now() + 10_000;
  for (;;) {
    try {
      await vault.ping();
      return;
    } catch (error) {
      if (Date.now() > until) throw error;
      await delay(20);
    }
  }
}

async function within(limitMs: number, job: () => Promise<unknown>): Promise<void> {
  const started = performance.now();
  await job();
  const tookMs = performance.now() - started;
  assert.ok(tookMs < limitMs, `took ${tookMs} ms`);
}

describe('redis vault, a server that keeps what it acknowledges', () => {
  let server: RedisServer;
  let admin: RedisConnection;
  afterEach(closeAll);
  before(async () => {
    server = await startRedis({ settings: DURABLE });
    admin = await connectRedis(server.url, quiet, () => {});
  });
  after(async () => {
    await admin?.close();
    await server?.dispose();
  });

  test('nothing is lost when Redis is killed and started again, and nobody has to reconnect by hand', async () => {
    const tools = testTools();
    const vault = await open(server.url, tools);
    const { generation } = await vault.create(ALICE, grantContent());
    assert.equal(await vault.compareAndSet(ALICE, generation, grantContent({ stale: true })), 'stored');
    assert.equal(await vault.once('state', 60_000), true);
    const lease = await vault.lease('refresh', 60_000, 'me');
    assert.ok(lease);
    await server.kill();

    const unavailable = { name: 'VaultError', code: 'unavailable' };
    await within(500, () => assert.rejects(vault.read(ALICE), unavailable));
    await within(500, () => assert.rejects(vault.once('another', 60_000), unavailable));
    await within(500, async () => {
      await assert.rejects(async () => {
        for await (const entry of vault.list()) assert.fail(entry.record);
      }, unavailable);
    });

    await server.start();
    await answering(vault);
    assert.equal((await vault.read(ALICE))?.stale, true);
    assert.equal(await vault.once('state', 60_000), false);
    assert.equal(await vault.lease('refresh', 60_000, 'you'), undefined);
    assert.equal(await vault.release(lease), true);
    assert.deepEqual(
      tools.logged.map((line) => line.replace(/"reason":"\w+"/, '')),
      [
        `warn the vault store does not answer {"store":"redis://127.0.0.1:${server.port}",}`,
        `info the vault store answers again {"store":"redis://127.0.0.1:${server.port}"}`,
      ],
    );
  });

  test('a Redis that hangs is an error in time, and used again when it goes on', async () => {
    const tools = testTools();
    const vault = await open(server.url, tools);
    await vault.create(ALICE, grantContent());
    server.pause();
    await within(2_500, () => assert.rejects(vault.read(ALICE), { code: 'unavailable', message: /did not answer/ }));
    await within(500, () =>
      assert.rejects(vault.read(ALICE, AbortSignal.timeout(100)), { name: 'TimeoutError' }, 'a caller in a hurry'),
    );
    // Three seconds of silence, whatever is sent meanwhile, and nobody waits any longer.
    const until = Date.now() + 10_000;
    while (!tools.logged.some((line) => /does not answer .*"silence"/.test(line)) && Date.now() < until) {
      await vault.read(ALICE, AbortSignal.timeout(50)).catch(() => {});
    }
    for (let i = 0; i < 3; i++) {
      await within(200, () => assert.rejects(vault.read(ALICE), { code: 'unavailable' }));
      await delay(1_500);
    }
    server.resume();
    await answering(vault);
    assert.ok(await vault.read(ALICE));
  });

  test('opens while Redis is away, and is ready when Redis is', async () => {
    await server.stop();
    const vault = await open(server.url);
    await within(500, () => assert.rejects(vault.ping(), { code: 'unavailable' }));
    await server.start();
    await answering(vault);
    await vault.create(ALICE, grantContent());
  });

  test('closes while Redis is away', async () => {
    const vault = await open(server.url);
    await server.kill();
    await within(1_500, () => vault.close());
    await server.start();
  });

  test('what was acknowledged survives kill -9 of the service', async () => {
    await writeUntilKilled(server.url, keys);
  });

  test('two processes lose no update', async () => {
    await countTogether(server.url, keys);
  });

  test('two processes use a key up once', async () => {
    await useUpTogether(server.url, keys);
  });

  test('everything it keeps is under its own prefix, and leases end by themselves', async () => {
    await admin.command('FLUSHALL');
    const vault = await open(server.url);
    await vault.create(ALICE, grantContent());
    await vault.lease('refresh', 60_000, 'me');
    await vault.once('state', 60_000);
    const names = (await admin.command('KEYS', '*')) as string[];
    assert.equal(names.length, 3);
    for (const name of names) {
      assert.match(name, /^emi:(grant|held):[\w-]{43}$/);
      const ttlMs = (await admin.command('PTTL', name)) as number;
      if (name.startsWith('emi:grant:')) assert.equal(ttlMs, -1);
      else assert.ok(ttlMs > 50_000 && ttlMs <= 60_000, String(ttlMs));
    }
  });

  test('something else under our name is reported as a damaged record', async () => {
    const vault = await open(server.url);
    await vault.create(ALICE, grantContent());
    await admin.command('SET', `emi:grant:${recordKeyOf(ALICE)}`, 'something else');
    await admin.command('DEL', `emi:grant:${recordKeyOf(BOB)}`);
    await admin.command('HSET', `emi:grant:${recordKeyOf(BOB)}`, 'a', 'b');
    await assert.rejects(vault.read(ALICE), { code: 'damaged', record: recordKeyOf(ALICE) });
    await assert.rejects(vault.read(BOB), { code: 'unavailable', message: 'Redis: WRONGTYPE' });
    await admin.command('FLUSHALL');
  });
});

describe('redis vault, set-up', () => {
  afterEach(closeAll);
  const withServer = async (options: RedisOptions, job: (server: RedisServer) => Promise<void>) => {
    const server = await startRedis(options);
    try {
      await job(server);
    } finally {
      await server.dispose();
    }
  };
  const warnings = (logged: readonly string[]) => logged.filter((line) => line.startsWith('warn '));
  /** The settings are asked for beside the start, over the same connection: ten more answers later they are known. */
  const openAndClose = async (url: string) => {
    const tools = testTools();
    const vault = await open(url, tools);
    await answering(vault);
    for (let i = 0; i < 10; i++) await vault.ping();
    await vault.close();
    return tools.logged;
  };

  test('settings that can lose writes are warned about, each with its risk', async () => {
    await withServer({ settings: { 'maxmemory-policy': 'allkeys-lru' } }, async (server) => {
      assert.deepEqual(
        warnings(await openAndClose(server.url)).map((line) => /Redis can lose writes: (.*?) \{/.exec(line)?.[1]),
        ['appendonly is no', 'appendfsync is everysec', 'maxmemory-policy is allkeys-lru'],
      );
    });
    await withServer({ settings: DURABLE }, async (server) => {
      assert.deepEqual(warnings(await openAndClose(server.url)), []);
    });
  });

  test('a server that hides its settings is no error', async () => {
    await withServer({ settings: { ...DURABLE, 'rename-command': 'CONFIG ""' } }, async (server) => {
      const lines = warnings(await openAndClose(server.url));
      assert.equal(lines.length, 1);
      assert.match(lines[0] ?? '', /Redis does not tell its settings/);
    });
  });

  test('the password opens, and is never told', async () => {
    const password = 'pa:ss@wo/rd-PLAINTEXT';
    await withServer({ settings: DURABLE, password }, async (server) => {
      const vault = await open(server.url);
      await vault.create(ALICE, grantContent());
      await vault.close();

      const tools = testTools();
      const wrong = await open(server.url.replace('PLAINTEXT', 'PLAINTEXT-wrong'), tools);
      const error = await wrong.read(ALICE).catch((reason: unknown) => reason);
      assert.equal((error as { code?: string }).code, 'unavailable');
      await wrong.close();
      assert.match(tools.logged.join(), /does not answer .*"reason":"WRONGPASS"/);
      assert.doesNotMatch(
        tools.logged.join() + String(error) + (await tools.metrics.text()),
        /PLAINTEXT|pa:ss|pa%3Ass/,
      );
    });
    for (const url of [
      `redis://:${password}@:x`,
      `redis://u:${password}@`,
      'redis://h/PLAINTEXT',
      'redis://h?PLAINTEXT',
    ])
      await assert.rejects(
        open(url),
        (error: Error) =>
          /vault\.store/.test(error.message) &&
          !/PLAINTEXT/.test(error.message + JSON.stringify(error) + String(error.cause)),
      );
  });

  test('rediss:// speaks TLS, and only to a server whose certificate is trusted', async (context) => {
    const directory = await mkdtemp(join(tmpdir(), 'vault-tls-'));
    context.after(() => rm(directory, { recursive: true }));
    const tls = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') };
    const name = ['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const files = ['-keyout', tls.key, '-out', tls.cert];
    const made = promisify(execFile)('openssl', [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      ...name,
      ...files,
    ]);
    if (
      !(await made.then(
        () => true,
        (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
      ))
    )
      return context.skip('needs openssl to make a certificate');
    await made;

    await withServer({ settings: DURABLE, tls }, async (server) => {
      const tools = testTools();
      const untrusting = await open(server.url, tools);
      await assert.rejects(untrusting.ping(), { code: 'unavailable' });
      assert.match(tools.logged.join(), /DEPTH_ZERO_SELF_SIGNED_CERT/);
      await untrusting.close();

      const input = { store: server.url, task: 'ping', rounds: 0 } as const;
      const trusting = await startVaultProcess(input, keys, { NODE_EXTRA_CA_CERTS: tls.cert });
      trusting.go();
      assert.equal(await trusting.line(), 'answers');
    });
  });
});
