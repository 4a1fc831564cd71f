import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { rpc, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { applied, editConfig, said } from '../support/reconfigure.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** Routes come by RDS from a file, so that they change while Envoy runs. */
describe('the routes that Envoy really runs', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const policy = (backend: string, more: object = {}) => ({
    backend,
    resource: `${stack.origin}/${backend}/mcp`,
    incomingAuth: ['corp'],
    outgoingAuth: { type: 'claim_injection' },
    ...more,
  });
  const call = async (backend: string) =>
    rpc(`${stack.origin}/${backend}/mcp`, toolCall('x'), [
      'Authorization',
      `Bearer ${await issuer.token({ aud: `${stack.origin}/${backend}/mcp` })}`,
    ]);
  const publish = (routes: Record<string, object>): void => {
    const resource = {
      '@type': 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
      name: 'live',
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: Object.entries(routes).map(([backend, metadata]) => ({
            match: { path_separated_prefix: `/${backend}/mcp` },
            route: { cluster: 'backend', timeout: '0s' },
            metadata: { filter_metadata: { 'mcp.identity': metadata } },
          })),
        },
      ],
    };
    const file = join(stack.folder, 'routes.json');
    writeFileSync(`${file}.new`, JSON.stringify({ version_info: String(Math.random()), resources: [resource] }));
    renameSync(`${file}.new`, file); // Envoy watches for moves
  };
  const until = async (status: number, backend: string): Promise<void> => {
    const deadline = Date.now() + 20_000;
    let answer = await call(backend);
    while (answer.status !== status && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      answer = await call(backend);
    }
    assert.equal(answer.status, status, answer.body);
  };

  before(async () => {
    issuer = await startIssuer();
    stack = await startStack({
      extProc: true,
      rds: true,
      validate: false,
      liveAdmin: true,
      config: { incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } } },
      routes: () => [],
    });
    publish({ good: policy('good'), meta: policy('meta', { identityPropagation: { mode: 'meta' } }) });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });

  it('a route that needs ext_proc is honoured once the dump has proved that it is there', async () => {
    await until(200, 'good');
    await until(200, 'meta');
    assert.equal(JSON.parse(stack.backend.last().body.toString()).params._meta.user.id, 'alice');
  });

  it('a route that becomes invalid is refused, the others go on, and log and metrics say so', async () => {
    publish({
      good: policy('good'),
      meta: policy('meta', { identityPropagation: { mode: 'meta' }, passthroughHeaders: ['Cookie'] }),
    });
    await until(500, 'meta');
    assert.equal((await call('good')).status, 200);
    await stack.services[0]!.until(() => stack.services[0]!.stderr.includes('V-10'));
    const deadline = Date.now() + 15_000;
    let metrics = await stack.metrics();
    while (!/mcp_identity_envoy_problems\{severity="error"\} [1-9]/.test(metrics) && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      metrics = await stack.metrics();
    }
    assert.match(metrics, /mcp_identity_envoy_problems\{severity="error"\} [1-9]/);
    publish({ good: policy('good'), meta: policy('meta', { identityPropagation: { mode: 'meta' } }) });
    await until(200, 'meta');
  });

  it('a configuration that takes away what a live route needs waits until Envoy has changed', async () => {
    const rename = (from: string, to: string) => () =>
      editConfig(stack, (config) => {
        config['incomingAuth'] = { [to]: config['incomingAuth'][from] };
      });
    const before = stack.services[0]!.stderr.length;
    await said(stack, 'the new configuration is rejected', rename('corp', 'staff'));
    assert.match(stack.services[0]!.stderr.slice(before), /"code":"V-12".*takes away/);
    assert.equal((await call('good')).status, 200);
    await applied(stack, () => {
      publish({ good: { ...policy('good'), incomingAuth: ['staff'] } });
    });
    await until(200, 'good');
    await said(stack, 'the new configuration is rejected', rename('staff', 'corp'));
    await applied(stack, () => publish({ good: policy('good') }));
    await until(200, 'good');
  });

  it('the service says in its metrics whether it can see Envoy', async () => {
    assert.match(await stack.metrics(), /mcp_identity_envoy_admin_up 1/);
    assert.ok(readFileSync(join(stack.folder, 'routes.json')).length > 0);
  });
});
