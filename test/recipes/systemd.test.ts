// deploy/systemd: what the unit promises the service is what its configuration counts on.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import { longestStopSeconds } from './longest-stop.ts';
import { checkFiles, sidecarFile } from './sidecar-file.ts';

const ROOT = join(import.meta.dirname, '../..');
const UNIT = join(ROOT, 'deploy/systemd/envoy-mcp-identity.service');
const unit = readFileSync(UNIT, 'utf8');
const sidecar = readFileSync(join(ROOT, 'deploy/systemd/sidecar.yaml'), 'utf8');
const all = (key: string) => [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value);
const folder = mkdtempSync(join(tmpdir(), 'systemd-'));
after(() => rmSync(folder, { recursive: true }));

test('the configuration is valid', async () => {
  const { file } = sidecarFile(folder, 'deploy/systemd/sidecar.yaml', (text) =>
    text
      .replaceAll('/run/credentials/envoy-mcp-identity.service/', `${folder}/keys/`)
      .replace('envoy:\n  bootstrap: /etc/envoy/envoy.yaml\n', ''),
  );
  assert.deepEqual(await checkFiles(file), {
    code: 0,
    printed: 'no problems found; no Envoy configuration was checked\n',
  });
});

test('secrets, sockets and the database are where the unit puts them', () => {
  const name = 'envoy-mcp-identity';
  const wanted = sidecar.match(/(?<=\/run\/credentials\/envoy-mcp-identity\.service\/)\w+/g);
  assert.deepEqual(
    wanted,
    all('LoadCredential').map((line) => line.split(':')[0]),
  );
  const { server, vault, envoy } = parse(sidecar);
  assert.deepEqual([all('RuntimeDirectory'), all('StateDirectory')], [[name], [name]]);
  for (const socket of [server.grpc, server.http]) assert.match(socket, new RegExp(`^unix:/run/${name}/`));
  assert.match(vault.store, new RegExp(`^sqlite:/var/lib/${name}/`));
  assert.ok(envoy.bootstrap);
});

test('it runs what the package installs, and stops it by a signal that it knows', () => {
  const { bin, name } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  assert.match(all('ExecStart')[0] ?? '', new RegExp(`/node_modules/${name}/${bin[name]} serve --config \\S+$`));
  assert.deepEqual(all('ExecReload'), ['/bin/kill -HUP $MAINPID']);
  assert.ok(Number(all('TimeoutStopSec')[0]) >= longestStopSeconds());
  const heap = Number(/--max-old-space-size=(\d+)/.exec(all('ExecStart')[0] ?? '')?.[1]);
  assert.ok(heap <= 0.8 * Number.parseInt(all('MemoryMax')[0] ?? '', 10));
});

test('systemd accepts it, and finds little that it may do without need', (t) => {
  const analyze = (...args: string[]) => execFileSync('systemd-analyze', args, { encoding: 'utf8', stdio: 'pipe' });
  try {
    analyze('--version');
  } catch {
    return t.skip('systemd-analyze is not on the PATH');
  }
  assert.equal(analyze('verify', UNIT), '');
  // 0 is nothing, 10 everything; a threshold of 20 stands for 2.0. It fails above.
  analyze('security', '--offline=true', '--threshold=20', '--no-pager', UNIT);
});
