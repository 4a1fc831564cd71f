// deploy/kubernetes without a cluster: what the manifests say about the service is what the service does.
// test/optional/manifests.test.ts holds the rendered result against Kubernetes' own schemas.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { Child } from '../support/child.ts';
import type { Loose } from '../support/good-pair.ts';
import { send } from '../support/http.ts';
import { freePorts } from '../support/ports.ts';
import { envoyBinary } from '../support/stack.ts';
import { longestStopSeconds } from './longest-stop.ts';
import { checkFiles, sidecarFile } from './sidecar-file.ts';

const ROOT = join(import.meta.dirname, '../..');
const HOME = join(ROOT, 'deploy/kubernetes');
const read = (name: string) => readFileSync(join(ROOT, name), 'utf8');
const manifest = (name: string): Loose => parse(readFileSync(join(HOME, name), 'utf8'));
const folder = mkdtempSync(join(tmpdir(), 'kubernetes-'));
after(() => rmSync(folder, { recursive: true }));

const pod = manifest('base/deployment.yaml').spec.template.spec;
const [identity] = pod.containers;
const [envoy] = manifest('sidecar/envoy.patch.yaml').spec.template.spec.containers;
const order: Loose[] = manifest('sidecar/order.patch.yaml');
const portsOf = (container: Loose) =>
  Object.fromEntries(container.ports.map(({ name, containerPort }: Loose) => [name, containerPort]));

test('every manifest can be read, and says what it is', () => {
  const files = globSync('deploy/{kubernetes/*,envoy-gateway,istio}/*.yaml', { cwd: ROOT });
  assert.ok(files.length > 20, files.join());
  for (const file of files) {
    for (const document of parseAllDocuments(read(file), { merge: true })) {
      assert.deepEqual([...document.errors, ...document.warnings], [], file);
      const value: Loose = document.toJS();
      if (/(sidecar|envoy|rendered|order\.patch|policy\.patch)\.yaml$/.test(file)) continue;
      assert.ok(value.apiVersion && value.kind, file);
    }
  }
});

describe('the configurations in the ConfigMaps', () => {
  test('shared mode', async () => {
    const { file } = sidecarFile(folder, 'deploy/kubernetes/shared/sidecar.yaml');
    assert.deepEqual(await checkFiles(file), {
      code: 0,
      printed: 'no problems found; no Envoy configuration was checked\n',
    });
  });

  test('sidecar mode, with its Envoy', async () => {
    const { file } = sidecarFile(folder, 'deploy/kubernetes/sidecar/sidecar.yaml');
    const own = read('deploy/kubernetes/sidecar/envoy.yaml').replaceAll(/(?<= )\/tls/g, join(folder, 'tls'));
    writeFileSync(join(folder, 'envoy.yaml'), own);
    assert.deepEqual(await checkFiles(file), { code: 0, printed: 'no problems found in 4 routes\n' });
    const child = new Child('envoy', envoyBinary(), ['--mode', 'validate', '-c', join(folder, 'envoy.yaml')]);
    assert.equal(await child.exited, 0, child.stderr);
  });

  test('every file they name is mounted', () => {
    const more = manifest('shared/deployment.patch.yaml').spec.template.spec.containers[0].volumeMounts;
    for (const [mode, mounts] of [
      ['shared', [...identity.volumeMounts, ...more]],
      ['sidecar', identity.volumeMounts],
    ] as const) {
      const named = read(`deploy/kubernetes/${mode}/sidecar.yaml`).match(/(?<=[:{ ])\/\w+\/[\w.]+/g) ?? [];
      assert.ok(named.length >= 2);
      for (const path of named) {
        const mounted = mounts.some(({ mountPath }: Loose) => path.startsWith(`${mountPath}/`));
        assert.ok(mounted, `${mode}: ${path}`);
      }
    }
  });
});

describe('ports and probes', () => {
  const served = (mode: string, listener: string) =>
    Number(
      parse(read(`deploy/kubernetes/${mode}/sidecar.yaml`))
        .server[listener].split(':')
        .at(-1),
    );

  test('ports are those the service listens at', () => {
    assert.deepEqual(portsOf(identity), { admin: served('sidecar', 'admin') });
    const [shared] = manifest('shared/deployment.patch.yaml').spec.template.spec.containers;
    assert.deepEqual(portsOf(shared), { grpc: served('shared', 'grpc'), http: served('shared', 'http') });
    assert.equal(served('shared', 'admin'), portsOf(identity).admin);
    for (const { name, port, targetPort } of manifest('shared/service.yaml').spec.ports) {
      assert.equal(targetPort, name);
      assert.equal(port, served('shared', name));
    }
    const listeners: Loose[] = parse(read('deploy/kubernetes/sidecar/envoy.yaml')).static_resources.listeners;
    const bound = listeners.map(({ name, address }) => [name, address.socket_address.port_value]);
    assert.deepEqual(portsOf(envoy), Object.fromEntries(bound));
  });

  test('the service answers every probe with 200 at that path', async () => {
    const [grpc, http, admin] = (await freePorts(3)) as [number, number, number];
    const moved = `127.0.0.1:${admin}`;
    const { file } = sidecarFile(folder, 'deploy/kubernetes/shared/sidecar.yaml', (text) =>
      text
        .replace('0.0.0.0:9191', `127.0.0.1:${grpc}`)
        .replace('0.0.0.0:9192', `127.0.0.1:${http}`)
        .replace('0.0.0.0:9193', moved),
    );
    const child = new Child('service', process.execPath, [join(ROOT, 'src/main.ts'), 'serve', '--config', file]);
    try {
      await child.until(() => child.stderr.includes('"message":"serving"'));
      for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
        const { path, port } = identity[probe].httpGet;
        assert.equal(port, 'admin');
        assert.equal((await send(`http://${moved}${path}`)).status, 200, path);
      }
    } finally {
      await child.stop();
    }
  });
});

describe('the pod', () => {
  test('image, user, command and Envoy are those of the Dockerfile and of docker-compose.yml', () => {
    const [image] = manifest('base/kustomization.yaml').images;
    assert.deepEqual([image.name, image.newTag], [identity.image, JSON.parse(read('package.json')).version]);
    assert.match(read('Dockerfile'), /^USER node$/m);
    assert.equal(pod.securityContext.runAsUser, 1000); // `node` of the base image
    const command: Loose = /^CMD (\[.*\])$/m.exec(read('Dockerfile').split(' AS service')[1] ?? '')?.[1];
    assert.deepEqual(identity.args, JSON.parse(command));
    assert.equal(envoy.image, parse(read('docker-compose.yml'), { merge: true }).services.envoy.image);
  });

  test('nobody may do more than they need', () => {
    assert.equal(pod.automountServiceAccountToken, false);
    const { runAsNonRoot, seccompProfile } = pod.securityContext;
    assert.deepEqual([runAsNonRoot, seccompProfile.type], [true, 'RuntimeDefault']);
    for (const { name, securityContext, resources } of [identity, envoy]) {
      assert.equal(securityContext.readOnlyRootFilesystem, true, name);
      assert.equal(securityContext.allowPrivilegeEscalation, false, name);
      assert.deepEqual(securityContext.capabilities, { drop: ['ALL'] }, name);
      assert.ok(resources.limits.memory && resources.requests.cpu, name);
    }
  });

  test('there is time to drain after the pause', () => {
    const pause = identity.lifecycle.preStop.sleep.seconds;
    assert.ok(pod.terminationGracePeriodSeconds - pause >= longestStopSeconds());
    const grace = order.find(({ path }) => path.endsWith('/terminationGracePeriodSeconds')).value;
    const envoysPause = Number(/sleep (\d+)$/.exec(envoy.lifecycle.preStop.exec.command.at(-1))?.[1]);
    assert.ok(envoysPause > 10, 'the kubelet has to see that Envoy is not ready, and callers to hear of it');
    assert.ok(grace - envoysPause >= longestStopSeconds());
  });

  test('the heap fits into the memory', () => {
    const heap = Number(/--max-old-space-size=(\d+)/.exec(identity.env[0].value)?.[1]);
    assert.ok(heap <= 0.8 * Number.parseInt(identity.resources.limits.memory, 10));
  });

  test('only one pod at a time may be taken away, and none before its successor is ready', () => {
    assert.equal(manifest('base/disruption-budget.yaml').spec.maxUnavailable, 1);
    const { replicas, strategy } = manifest('base/deployment.yaml').spec;
    assert.ok(replicas >= 2);
    assert.equal(strategy.rollingUpdate.maxUnavailable, 0);
  });

  test('gRPC is open to the gateway alone; admin to Prometheus alone', () => {
    const [metrics, ...none] = manifest('base/network-policy.yaml').spec.ingress;
    assert.deepEqual(none, []);
    assert.deepEqual(metrics.ports, [{ port: 'admin', protocol: 'TCP' }]);
    const [{ value }] = manifest('shared/network-policy.patch.yaml');
    assert.ok(value.from[0].namespaceSelector.matchLabels);
    const inSidecarMode = manifest('sidecar/network-policy.patch.yaml')[0].value.ports;
    assert.deepEqual(inSidecarMode, [{ port: 'mcp', protocol: 'TCP' }]);
  });
});

describe('kustomize', () => {
  const kubectl = (...args: string[]) => execFileSync('kubectl', args, { encoding: 'utf8', stdio: 'pipe' });
  let there = true;
  try {
    kubectl('version', '--client');
  } catch {
    there = false;
  }

  for (const name of ['kubernetes/shared', 'kubernetes/sidecar', 'envoy-gateway', 'istio']) {
    test(name, { skip: there ? false : 'kubectl is not on the PATH' }, () => {
      const objects: Loose[] = parseAllDocuments(kubectl('kustomize', join(ROOT, 'deploy', name))).map((one) =>
        one.toJS(),
      );
      const only = (kind: string) => objects.find((object) => object.kind === kind);
      const { template, selector } = only('Deployment').spec;
      assert.partialDeepStrictEqual(template.metadata.labels, selector.matchLabels);
      for (const kind of ['PodDisruptionBudget', 'NetworkPolicy']) {
        const { selector: chosen, podSelector } = only(kind).spec;
        assert.deepEqual((chosen ?? podSelector).matchLabels, selector.matchLabels, kind);
      }
      const map = template.spec.volumes.find((volume: Loose) => volume.name === 'config').configMap.name;
      const files = objects.find((object) => object.kind === 'ConfigMap' && object.metadata.name === map).data;
      assert.deepEqual(
        Object.keys(files).sort(),
        name === 'kubernetes/shared' ? ['sidecar.yaml'] : ['envoy.yaml', 'sidecar.yaml'],
      );
      const inits = template.spec.initContainers ?? [];
      if (name !== 'kubernetes/sidecar') assert.deepEqual(inits, []);
      else
        assert.deepEqual(
          inits.map((one: Loose) => [one.name, one.restartPolicy]),
          [['identity', 'Always']],
        );
    });
  }
});
