// Envoy Gateway and Istio: what they make of our manifests (`rendered.yaml`, a /config_dump) passes `check`, and an
// Envoy that runs its filters and routes does what the recipes say. test/optional/gateways.test.ts renders it anew.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { type Backend, startBackend } from '../support/backend.ts';
import { Child } from '../support/child.ts';
import type { Loose } from '../support/good-pair.ts';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { freePorts } from '../support/ports.ts';
import { envoyBinary } from '../support/stack.ts';
import { readRendered, runnable } from './rendered-envoy.ts';
import { checkFiles, sidecarFile } from './sidecar-file.ts';

const ROOT = join(import.meta.dirname, '../..');
const ORIGIN = 'https://mcp.example.com';

for (const name of ['envoy-gateway', 'istio']) {
  describe(name, () => {
    const folder = mkdtempSync(join(tmpdir(), `${name}-`));
    const rendered = join(ROOT, 'deploy', name, 'rendered.yaml');
    const children: Child[] = [];
    let issuer: FakeIssuer;
    let backend: Backend;
    let at: string;
    let envoyAdmin: string;

    before(async () => {
      [issuer, backend] = await Promise.all([startIssuer(), startBackend()]);
      const [listen, admin, grpc, http, own] = (await freePorts(5)) as [number, number, number, number, number];
      at = `http://127.0.0.1:${listen}`;
      envoyAdmin = `http://127.0.0.1:${admin}`;
      copyFileSync(rendered, join(folder, 'envoy.yaml')); // the ConfigMap has it under this name
      const { file, certificates } = sidecarFile(folder, `deploy/${name}/sidecar.yaml`, (text) =>
        text
          .replace('0.0.0.0:9191', `127.0.0.1:${grpc}`)
          .replace('0.0.0.0:9192', `127.0.0.1:${http}`)
          .replace('0.0.0.0:9193', `127.0.0.1:${own}`)
          .replace('https://idp.example.com', issuer.issuer),
      );
      const service = new Child('service', process.execPath, [join(ROOT, 'src/main.ts'), 'serve', '--config', file]);
      children.push(service);
      await service.until(() => service.stderr.includes('"message":"serving"'));
      const { ca, client } = certificates;
      const bootstrap = join(folder, 'bootstrap.json');
      const places = { listen, admin, grpc: { port: grpc, ca, ...client }, http, backend: backend.port };
      writeFileSync(bootstrap, JSON.stringify(runnable(readRendered(name), places)));
      const args = ['-c', bootstrap, '--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'info'];
      const envoy = new Child('envoy', envoyBinary(), args);
      children.push(envoy);
      await envoy.until(() => envoy.stderr.includes('starting main dispatch loop'));
    });
    after(async () => {
      for (const child of children.toReversed()) await child.stop();
      await Promise.all([issuer.stop(), backend.stop()]);
      rmSync(folder, { recursive: true });
    });

    const bearer = async (route: string, claims: object = {}) => [
      'Authorization',
      `Bearer ${await issuer.token({ aud: `${ORIGIN}/${route}/mcp`, ...claims })}`,
    ];

    test('`check` finds nothing in what the gateway makes of the manifests', async () => {
      const { code, printed } = await checkFiles(join(folder, 'sidecar.yaml'), rendered);
      assert.match(printed, /^no problems found in \d+ routes\n$/);
      assert.equal(code, 0);
    });

    test('a route without a policy is one that `check` complains about', async () => {
      const dump = readRendered(name);
      const table = dump.configs.find((config: Loose) => config['@type'].includes('RoutesConfigDump'));
      const routes = table.dynamic_route_configs.flatMap((one: Loose) => one.route_config.virtual_hosts[0].routes);
      const notes = routes.find((route: Loose) => route.match.path === '/notes/mcp');
      delete notes.metadata.filter_metadata['mcp.identity'];
      const changed = join(folder, 'changed.json');
      writeFileSync(changed, JSON.stringify(dump));
      const { code, printed } = await checkFiles(join(folder, 'sidecar.yaml'), changed);
      assert.match(printed, /^error V-20 .*\n.*goes through ext_authz, but has no `mcp\.identity` metadata/);
      assert.equal(code, 1);
    });

    test('the service answers the health checks, so that a replica that leaves is noticed', async () => {
      const flags = async () =>
        /^.*(?:extauth|\|9191\|).*::health_flags::(.*)$/m.exec((await send(`${envoyAdmin}/clusters`)).body);
      const deadline = Date.now() + 10_000;
      while ((await flags())?.[1] !== 'healthy' && Date.now() < deadline)
        await new Promise((done) => setTimeout(done, 50));
      assert.equal((await flags())?.[1], 'healthy');
    });

    test('metadata documents need no token; everything else is refused without one', async () => {
      const document = await send(`${at}/.well-known/oauth-protected-resource/github/mcp`);
      assert.equal(document.status, 200);
      assert.equal(document.json().resource, `${ORIGIN}/github/mcp`);
      for (const route of ['github', 'notes']) {
        const refused = await rpc(`${at}/${route}/mcp`, toolCall('x'));
        assert.equal(refused.status, 401);
        assert.match(
          refused.headers['www-authenticate'] ?? '',
          /resource_metadata="https:\/\/mcp\.example\.com\/\.well/,
        );
      }
      assert.equal(backend.seen.length, 0);
    });

    test('headers: the backend learns who it is, at its own path; tools are judged by the body', async () => {
      const read = await bearer('github', { scope: 'mcp:read', email: 'alice@example.com' });
      const answer = await rpc(`${at}/github/mcp`, toolCall('list'), [...read, 'X-User-Sub', 'root']);
      assert.equal(answer.status, 200, answer.body);
      const { url, headers } = backend.last();
      assert.equal(url, '/mcp');
      assert.partialDeepStrictEqual(headers, { 'x-user-sub': 'alice', 'x-user-email': 'alice@example.com' });
      assert.equal(headers['authorization'], undefined);
      const denied = await rpc(`${at}/github/mcp`, toolCall('delete_repo'), read);
      assert.equal(denied.status, 403);
      assert.match(denied.headers['www-authenticate'] ?? '', /insufficient_scope.*mcp:admin/);
    });

    test('bodies and sessions: ext_proc carries out what ext_authz has decided', async () => {
      backend.respond = (_seen, response) => {
        response.setHeader('mcp-session-id', 'backends-own');
        response.setHeader('content-type', 'application/json').end('{"jsonrpc":"2.0","id":1,"result":{}}');
      };
      const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25' } };
      const opened = await rpc(`${at}/notes/mcp`, initialize, await bearer('notes', { email: 'alice@example.com' }));
      assert.equal(opened.status, 200, opened.body);
      const { params } = JSON.parse(backend.last().body.toString());
      assert.deepEqual(params._meta.user, { id: 'alice', email: 'alice@example.com' });
      const session = opened.headers['mcp-session-id'] ?? '';
      assert.notEqual(session, 'backends-own');
      const withSession = async (sub: string) =>
        rpc(`${at}/notes/mcp`, toolCall('x'), [...(await bearer('notes', { sub })), 'Mcp-Session-Id', session]);
      assert.equal((await withSession('alice')).status, 200);
      assert.equal(backend.last().headers['mcp-session-id'], 'backends-own');
      assert.equal((await withSession('mallory')).status, 404);
    });
  });
}

test("Istio's `action: CUSTOM` will not do, and `check` says why", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'custom-'));
  try {
    const { file } = sidecarFile(folder, 'deploy/istio/sidecar.yaml');
    const dump = readRendered('istio');
    const listeners = dump.configs.find((config: Loose) => config['@type'].endsWith('.ListenersConfigDump'));
    const [{ filters }] = listeners.dynamic_listeners[0].active_state.listener.filter_chains;
    const own = filters.at(-1).typed_config.http_filters.find(({ name }: Loose) => name === 'mcp.identity.ext_authz');
    own.typed_config = parse(readFileSync(join(import.meta.dirname, 'istio-custom-action.yaml'), 'utf8'));
    writeFileSync(join(folder, 'envoy.yaml'), JSON.stringify(dump));
    const { code, printed } = await checkFiles(file);
    assert.equal(code, 1);
    const page = readFileSync(join(ROOT, 'docs/recipes/istio.md'), 'utf8');
    const documented = [...page.matchAll(/^\| \[(V-\d\d)\]/gm)].map(([, found]) => found);
    const found = [...printed.matchAll(/^error (V-\d\d)/gm)].map(([, one]) => one);
    assert.deepEqual(found, documented);
    for (const setting of ['route_metadata_context_namespaces', 'encode_raw_headers', 'filter_enabled_metadata'])
      assert.ok(printed.includes(setting) && page.includes(setting), setting);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
