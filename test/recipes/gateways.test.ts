// Envoy Gateway and Istio: what they make of our manifests (`rendered.yaml`, a /config_dump) passes `check`, and an
// Envoy that runs its filters and routes does what the recipes say. test/optional/gateways.test.ts renders it anew.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Backend, startBackend } from '../support/backend.ts';
import { Child } from '../support/child.ts';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { freePorts } from '../support/ports.ts';
import { envoyBinary } from '../support/stack.ts';
import { readRendered, runnable } from './rendered-envoy.ts';
import { checkFiles, sidecarFile } from './sidecar-file.ts';

const ROOT = join(import.meta.dirname, '../..');
const ORIGIN = 'https://mcp.example.com';

for (const name of ['envoy-gateway']) {
  describe(name, () => {
    const folder = mkdtempSync(join(tmpdir(), `${name}-`));
    const rendered = join(ROOT, 'deploy', name, 'rendered.yaml');
    const children: Child[] = [];
    let issuer: FakeIssuer;
    let backend: Backend;
    let at: string;

    before(async () => {
      [issuer, backend] = await Promise.all([startIssuer(), startBackend()]);
      const [listen, admin, grpc, http, own] = (await freePorts(5)) as [number, number, number, number, number];
      at = `http://127.0.0.1:${listen}`;
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
      const table = dump.configs.find((config: { '@type': string }) => config['@type'].includes('RoutesConfigDump'));
      const routes = table.dynamic_route_configs.flatMap((one: any) => one.route_config.virtual_hosts[0].routes);
      const notes = routes.find((route: any) => route.match.path === '/notes/mcp');
      delete notes.metadata.filter_metadata['mcp.identity'];
      const changed = join(folder, 'changed.json');
      writeFileSync(changed, JSON.stringify(dump));
      const { code, printed } = await checkFiles(join(folder, 'sidecar.yaml'), changed);
      assert.match(printed, /^error V-20 .*\n.*goes through ext_authz, but has no `mcp\.identity` metadata/);
      assert.equal(code, 1);
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
      backend.respond = (seen, response) => {
        response.setHeader('mcp-session-id', 'backends-own');
        response.setHeader('content-type', 'application/json').end(`{"jsonrpc":"2.0","id":1,"result":{}}`);
        void seen;
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
