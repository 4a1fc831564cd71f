// deploy/envoy-gateway through Envoy Gateway's own translation, and all manifests against Kubernetes' schemas. Not part of a
// normal run. Set EGCTL_BIN to an `egctl` of 1.9.1 (go install github.com/envoyproxy/gateway/cmd/egctl@v1.9.1), and
// KUBERNETES_VALIDATE_BIN to the command of that name (pip install kubernetes-validate). Both need `kubectl` on the PATH.
// UPDATE=1 writes deploy/envoy-gateway/rendered.yaml anew.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { makeCertificates } from '../support/certificates.ts';
import type { Loose } from '../support/good-pair.ts';

const ROOT = join(import.meta.dirname, '../..');
const EGCTL = process.env['EGCTL_BIN'];
const VALIDATE = process.env['KUBERNETES_VALIDATE_BIN'];
const RENDERED = join(ROOT, 'deploy/envoy-gateway/rendered.yaml');
const folder = mkdtempSync(join(tmpdir(), 'gateways-'));
after(() => rmSync(folder, { recursive: true }));

function kustomize(name: string): Loose[] {
  const text = execFileSync('kubectl', ['kustomize', join(ROOT, 'deploy', name)], { encoding: 'utf8' });
  return parseAllDocuments(text).map((document) => document.toJS());
}

/** What egctl knows of the manifests, and what a cluster would add: addresses of services, and secrets. */
function translatable(objects: readonly Loose[]): Loose[] {
  const { ca, server } = makeCertificates(folder);
  const encoded = (file: string) => readFileSync(file).toString('base64');
  const data = { 'tls.crt': encoded(server.cert), 'tls.key': encoded(server.key), 'ca.crt': encoded(ca) };
  const secrets = ['mcp-example-com-tls', 'envoy-client-tls', 'mcp-identity-ca'].map((name) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name, namespace: 'mcp' },
    data,
  }));
  const services = objects
    .filter(({ kind }) => kind === 'Service')
    .map((service, i) => ({ ...service, spec: { ...service.spec, clusterIP: `10.96.0.${10 + i}` } }));
  return [...objects.filter(({ apiVersion }) => apiVersion.startsWith('gateway.')), ...services, ...secrets];
}

/** Every condition in the status of what egctl read. */
function* conditions(value: Loose): Iterable<{ type: string; status: string; message: string }> {
  if (value === null || typeof value !== 'object') return;
  for (const [key, inner] of Object.entries<Loose>(value)) {
    if (key === 'conditions') yield* inner;
    else yield* conditions(inner);
  }
}

test('Envoy Gateway accepts every manifest, and makes rendered.yaml of them', {
  skip: EGCTL ? false : 'EGCTL_BIN is not set',
}, () => {
  const file = join(folder, 'manifests.yaml');
  writeFileSync(
    file,
    translatable(kustomize('envoy-gateway'))
      .map((one) => stringify(one))
      .join('---\n'),
  );
  const args = ['x', 'translate', '--from', 'gateway-api', '--to', 'gateway-api,xds', '--type', 'all', '--file', file];
  const { xds, ...objects }: Loose = parse(execFileSync(EGCTL as string, args, { encoding: 'utf8' }));
  const found = [...conditions(objects)];
  assert.ok(found.length > 15);
  for (const { type, status, message } of found)
    if (type !== 'Overridden') assert.equal(status, 'True', `${type}: ${message}`);
  const dump = { configs: xds['mcp/mcp'].configs };
  if (process.env['UPDATE']) writeFileSync(RENDERED, stringify(dump, { lineWidth: 0 }));
  assert.deepEqual(parse(readFileSync(RENDERED, 'utf8')), dump);
});

describe('manifests against the schemas of Kubernetes', {
  skip: VALIDATE ? false : 'KUBERNETES_VALIDATE_BIN is not set',
}, () => {
  for (const name of ['kubernetes/shared', 'kubernetes/sidecar', 'envoy-gateway', 'istio']) {
    test(name, () => {
      // Custom resources have their own schemas.
      const own = kustomize(name).filter(
        ({ apiVersion }) => !/^(gateway\.|cert-manager|networking\.istio)/.test(apiVersion),
      );
      const file = join(folder, 'own.yaml');
      writeFileSync(file, own.map((one) => stringify(one)).join('---\n'));
      execFileSync(VALIDATE as string, ['--strict', file], { encoding: 'utf8', stdio: 'pipe' });
    });
  }
});
