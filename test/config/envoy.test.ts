// What a real Envoy says of the same files, and what it shows of itself once it runs.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { worldOf } from '../../src/config/world.ts';
import { pathText, type Problem } from '../../src/core/problem.ts';
import { parseSource } from '../../src/core/source-document.ts';
import type { EnvoyModel } from '../../src/policy/envoy-config/model.ts';
import { readEnvoyConfig } from '../../src/policy/envoy-config/read.ts';
import { type EnvoyValidation, validateEnvoy } from '../../src/policy/validate-envoy.ts';
import { Child } from '../support/child.ts';
import { GOOD_ENV, goodPair, type Loose } from '../support/good-pair.ts';
import { send } from '../support/http.ts';
import { envoyBinary } from '../support/stack.ts';

const GOOD = join(import.meta.dirname, 'good');
const folder = mkdtempSync(join(tmpdir(), 'mcp-identity-envoy-'));
after(() => rmSync(folder, { recursive: true }));

for (const name of ['full', 'small']) {
  test(`Envoy accepts good/${name}.envoy.yaml`, async () => {
    const child = new Child('envoy', envoyBinary(), [
      '--mode',
      'validate',
      '-c',
      join(GOOD, `${name}.envoy.yaml`),
      '-l',
      'error',
    ]);
    assert.equal(await child.exited, 0, child.stderr);
  });
}

function modelOf(file: string, text: string): EnvoyModel {
  const read = parseSource(file, text, 'envoy');
  assert.ok(read.ok);
  const model = readEnvoyConfig(read.document);
  assert.ok('routes' in model);
  return model;
}

function judge(model: EnvoyModel): EnvoyValidation {
  const loaded = loadConfig(join(GOOD, 'full.sidecar.yaml'), GOOD_ENV);
  assert.ok(loaded.ok);
  return validateEnvoy(model, worldOf(loaded.config), {
    maxBody: loaded.config.limits.maxBody,
    grpcAddress: '127.0.0.1:9191',
  });
}

function told(problems: readonly Problem[]): string[] {
  return problems.map(({ code, path, message }) => `${code} ${pathText(path)}: ${message}`);
}

/** Runs Envoy with `config` on free ports and gives what its admin page shows; `edit` changes the text of the file. */
async function dumpOf(name: string, config: Loose, edit = (text: string) => text): Promise<string> {
  const file = join(folder, `${name}.yaml`);
  const address = join(folder, `${name}.admin`);
  const running = structuredClone(config);
  running.admin = { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } };
  for (const listener of running.static_resources.listeners) listener.address.socket_address.port_value = 0;
  writeFileSync(file, edit(JSON.stringify(running)));
  const args = ['-c', file, '--use-dynamic-base-id', '--admin-address-path', address, '--log-level', 'info'];
  const envoy = new Child('envoy', envoyBinary(), args);
  try {
    await envoy.until(() => existsSync(address) && envoy.stderr.includes('starting main dispatch loop'));
    return (await send(`http://${readFileSync(address, 'utf8')}/config_dump`)).body;
  } finally {
    await envoy.stop();
  }
}

describe('a running Envoy', () => {
  let dump: string;
  before(async () => {
    dump = await dumpOf('static', goodPair().envoy);
  });

  test('shows the routes, filters and policies that its file says', () => {
    const fromFile = judge(modelOf('envoy.yaml', readFileSync(join(GOOD, 'full.envoy.yaml'), 'utf8')));
    const fromDump = judge(modelOf('config_dump', dump));
    assert.deepEqual(told(fromDump.problems), []);
    assert.equal(fromDump.routeCount, fromFile.routeCount);
    // The same policies, read from YAML, from JSON, and back from Envoy's own messages.
    assert.deepEqual(fromDump.proofs, fromFile.proofs);
    assert.equal([...fromFile.proofs.values()].filter((proof) => proof.extProc).length, 7);
  });

  test('is found wrong where its file would be', () => {
    const broken = dump.replaceAll('"encode_raw_headers": true', '"encode_raw_headers": false');
    assert.notEqual(broken, dump);
    assert.match(
      told(judge(modelOf('config_dump', broken)).problems).join('\n'),
      /^V-21 configs\[\d\]\.static_listeners\[0\].*encode_raw_headers/,
    );
  });
});

test('route tables that Envoy was sent are seen in the dump only', async () => {
  const { envoy } = goodPair();
  const manager = envoy.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  const table = join(folder, 'routes.json');
  const resource = {
    '@type': 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
    name: 'sent',
    ...manager.route_config,
  };
  delete resource.virtual_hosts[0].routes[4].metadata;
  writeFileSync(table, JSON.stringify({ version_info: '1', resources: [resource] }));
  delete manager.route_config;
  manager.rds = {
    route_config_name: 'sent',
    config_source: { resource_api_version: 'V3', path_config_source: { path: table } },
  };
  envoy.node = { id: 'test', cluster: 'test' };

  const before = judge(modelOf('envoy.json', JSON.stringify(envoy)));
  assert.deepEqual(
    before.problems.map(({ code, severity }) => [code, severity]),
    [['V-31', 'warning']],
  );
  assert.equal(before.routeCount, 0);
  const now = judge(modelOf('config_dump', await dumpOf('sent', envoy)));
  assert.equal(now.routeCount, 10);
  assert.deepEqual(
    now.problems.map(({ code, path }) => [code, path.slice(0, 5).join('.')]),
    [['V-20', 'configs.4.dynamic_route_configs.0.route_config']],
  );
});

test('Envoy reads scalars as we do', async () => {
  const { envoy } = goodPair();
  const text = readFileSync(join(import.meta.dirname, 'scalars.yaml'), 'utf8');
  const ours = parseSource('scalars.yaml', text, 'envoy');
  assert.ok(ours.ok);
  envoy.static_resources.listeners[0].metadata = 'HERE';
  // YAML holds JSON: all but the values may stay JSON.
  const metadata = `{"filter_metadata": {"test": ${text.slice(text.indexOf('{'))}}}`;
  const dump: Loose = JSON.parse(await dumpOf('scalars', envoy, (json) => json.replace('"HERE"', metadata)));
  const listeners = dump.configs.find((config: Loose) => config['@type'].endsWith('ListenersConfigDump'));
  assert.deepEqual(ours.document.value, listeners.static_listeners[0].listener.metadata.filter_metadata.test);
});
