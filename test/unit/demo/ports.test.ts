import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { parse } from 'yaml';
import { choosePorts, configFor, requireFree } from '../../../demo/ports.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

test('without DEMO_PORT_BASE the shipped files are used as they are', async () => {
  const files = await configFor(choosePorts(undefined), root, '/nowhere');
  assert.deepEqual(files, { envoy: join(root, 'demo/envoy.yaml'), service: join(root, 'demo/sidecar.yaml') });
});

test('with it, every address moves and nothing else does', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'demo-ports-'));
  try {
    const files = await configFor(choosePorts('20000'), root, directory);
    const envoy = await readFile(files.envoy, 'utf8');
    const addresses = [...envoy.matchAll(/port_value: (\d+)/g)].map(([, port]) => Number(port));
    assert.deepEqual(
      addresses.toSorted((a, b) => a - b),
      [20000, 20001, 20002, 20003, 20006, 20007, 20008],
    );
    assert.ok(envoy.includes('resource: http://127.0.0.1:20000/legacy/mcp'));
    assert.ok(envoy.includes('max_requests: 10000,'), 'a number that is no port');
    const service: unknown = parse(await readFile(files.service, 'utf8'));
    assert.partialDeepStrictEqual(service, {
      publicUrl: 'http://127.0.0.1:20000',
      envoy: { bootstrap: './envoy.yaml' },
      incomingAuth: { corp: { issuer: 'http://127.0.0.1:20005' } },
      upstreamProviders: { tracker: { issuer: 'http://127.0.0.1:20008' } },
      connect: { login: { issuer: 'http://127.0.0.1:20005' } },
    });
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('a taken port is named, with its purpose and the way out', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as AddressInfo;
  const all = {
    envoy: 0,
    envoyAdmin: 0,
    grpc: 0,
    http: 0,
    admin: 0,
    identityProvider: 0,
    legacy: port,
    modern: 0,
    tracker: 0,
  };
  await assert.rejects(requireFree(all, '127.0.0.1'), {
    message:
      `port ${port} (MCP backend with sessions) is taken. Stop what listens there, ` +
      'or choose 9 other ports: DEMO_PORT_BASE=20000 npm start',
  });
  holder.close();
});

test('a base that leaves no room for nine ports is refused', () => {
  for (const base of ['', 'x', '80', '65530', '2e4.5']) {
    assert.throws(() => choosePorts(base), /DEMO_PORT_BASE is ".*"; it must be a number from 1024 to 65527/);
  }
});
