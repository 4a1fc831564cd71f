// deploy/replicas: two replicas in docker compose. scripts/try-replicas.sh really runs them.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import { secondReplica, withSecondReplica } from '../../deploy/replicas/templates.ts';
import { Child } from '../support/child.ts';
import type { Loose } from '../support/good-pair.ts';
import { envoyBinary } from '../support/stack.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (name: string) => readFileSync(join(ROOT, name), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'replicas-'));
after(() => rmSync(folder, { recursive: true }));

test('what `setup-replicas` writes: the same configuration on other ports, and both as endpoints in Envoy', async () => {
  const config = join(folder, 'config');
  mkdirSync(config);
  writeFileSync(join(config, 'sidecar.yaml'), read('deploy/compose/sidecar.yaml'));
  writeFileSync(join(config, 'envoy.yaml'), read('envoy/envoy.yaml'));
  const setup = new Child('setup', process.execPath, [join(ROOT, 'deploy/replicas/setup.ts'), config]);
  assert.equal(await setup.exited, 0, setup.stderr);

  const [first, second] = ['sidecar.yaml', 'sidecar-2.yaml'].map((name) =>
    parse(readFileSync(join(config, name), 'utf8')),
  );
  const listeners = { grpc: '127.0.0.1:9291', http: '127.0.0.1:9292', admin: '127.0.0.1:9293' };
  assert.deepEqual(second, { ...first, server: listeners });

  const envoy = join(config, 'envoy.yaml');
  const clusters: Loose[] = parse(readFileSync(envoy, 'utf8')).static_resources.clusters;
  for (const [name, ports] of Object.entries({ identity_grpc: [9191, 9291], identity_http: [9192, 9292] })) {
    const [{ lb_endpoints: endpoints }] = clusters.find((cluster) => cluster.name === name).load_assignment.endpoints;
    assert.deepEqual(
      endpoints.map(({ endpoint }: Loose) => endpoint.address.socket_address.port_value),
      ports,
    );
  }
  const child = new Child('envoy', envoyBinary(), ['--mode', 'validate', '-c', envoy]);
  assert.equal(await child.exited, 0, child.stderr);
});

test('files in which nothing can be changed are errors', () => {
  assert.throws(() => secondReplica('server: { grpc: 127.0.0.1:9000 }'), /server\.grpc is not 127\.0\.0\.1:9191/);
  assert.throws(() => withSecondReplica('static_resources: {}'), /no clusters/);
  assert.throws(() => withSecondReplica('static_resources: { clusters: [] }'), /no cluster identity_grpc/);
});

test('the second replica is the first but for its configuration; its setup may do nothing else', () => {
  const { services }: Loose = parse(read('deploy/replicas/docker-compose.yml'));
  const { 'identity-2': second, 'setup-replicas': setup, envoy } = services;
  assert.deepEqual(second.extends, { file: 'docker-compose.yml', service: 'identity' });
  assert.deepEqual(Object.keys(second).sort(), ['command', 'environment', 'extends']);
  assert.match(second.environment.HEALTH_URL, /:9293\/readyz$/);
  assert.deepEqual(Object.keys(envoy), ['depends_on']);
  assert.deepEqual([setup.network_mode, setup.read_only, setup.cap_drop], ['none', true, ['ALL']]);
});
