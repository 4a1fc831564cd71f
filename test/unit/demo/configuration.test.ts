// The two configuration files of the demo.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { parse } from 'yaml';
import { chooseTokenSeconds, demoSecrets } from '../../../demo/secrets.ts';
import { check } from '../../../src/cli/check.ts';
import type { Loose } from '../../support/good-pair.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

test('`check` finds nothing', async () => {
  let printed = '';
  const output = { write: (text: string) => (printed += text) };
  const io = { stdout: output, stderr: output, env: demoSecrets({}), cwd: root };
  const code = await check(['--config', join(root, 'demo/sidecar.yaml')], io);
  assert.match(printed, /^no problems found in 6 routes\n$/);
  assert.equal(code, 0);
});

test('demo/envoy.yaml is envoy/envoy.yaml and the parts for accounts', () => {
  const [shipped, demo]: Loose[] = ['envoy/envoy.yaml', 'demo/envoy.yaml'].map((name) =>
    parse(readFileSync(join(root, name), 'utf8')),
  );
  const manager = demo.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  const [host] = manager.route_config.virtual_hosts;
  const added: string[] = [];
  const without = (list: Loose[], isAdded: (one: Loose) => string | undefined) =>
    list.filter((one) => {
      const name = isAdded(one);
      if (name !== undefined) added.push(name);
      return name === undefined;
    });
  host.routes = without(host.routes, ({ match }) =>
    match.path_separated_prefix === '/connect' || match.path === '/tracker/mcp'
      ? (match.path_separated_prefix ?? match.path)
      : undefined,
  );
  manager.http_filters = without(manager.http_filters, ({ name }) => (name.endsWith('ext_proc') ? name : undefined));
  const { clusters } = demo.static_resources;
  demo.static_resources.clusters = without(clusters, ({ name }) => (name === 'tracker' ? name : undefined));
  assert.deepEqual(added, ['/connect', '/tracker/mcp', 'envoy.filters.http.ext_proc', 'tracker']);
  assert.deepEqual(demo, shipped);
});

test('secrets are those of the environment, else new ones of 32 bytes', () => {
  const [one, other] = [demoSecrets({ DEMO_LOGIN_SECRET: 'mine' }), demoSecrets({})];
  assert.equal(one.DEMO_LOGIN_SECRET, 'mine');
  assert.notEqual(one.DEMO_VAULT_KEY, other.DEMO_VAULT_KEY);
  assert.equal(Buffer.from(one.DEMO_VAULT_KEY, 'base64').length, 32);
});

test('DEMO_TOKEN_SECONDS is a whole number of seconds', () => {
  assert.equal(chooseTokenSeconds(undefined), 20);
  assert.equal(chooseTokenSeconds('3'), 3);
  for (const text of ['', '1', '3601', '3.5', 'x'])
    assert.throws(() => chooseTokenSeconds(text), /DEMO_TOKEN_SECONDS is ".*"; it must be a number from 2 to 3600/);
});
