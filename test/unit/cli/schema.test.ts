import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { type DocumentName, jsonSchemaOf, schema } from '../../../src/cli/schema.ts';
import { goodPair } from '../../support/good-pair.ts';

function validator(name: DocumentName) {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  return ajv.compile(jsonSchemaOf(name));
}

async function run(...args: string[]) {
  let [stdout, stderr] = ['', ''];
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    env: {},
    cwd: '/',
  };
  const code = await schema(args, io);
  return { code, stdout, stderr };
}

describe('schema config', () => {
  test('takes the good configuration', () => {
    const validate = validator('config');
    assert.ok(validate(goodPair().sidecar), JSON.stringify(validate.errors));
  });
  test('asks only for what has no default', () =>
    assert.ok(validator('config')({ publicUrl: 'https://mcp.example.com' })));
  test('refuses what is not known, or of the wrong form', () => {
    const validate = validator('config');
    for (const change of [
      { unknown: 1 },
      { publicUrl: 5 },
      { session: { maxAge: '24' } },
      { secrets: { a: { env: 1 } } },
      { incomingAuth: { a: { type: 'jwtt' } } },
    ]) {
      assert.equal(validate({ ...goodPair().sidecar, ...change }), false, JSON.stringify(change));
    }
  });
});

describe('schema route', () => {
  const policies =
    goodPair().envoy.static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes.flatMap(
      (route: any) => route.metadata?.filter_metadata['mcp.identity'] ?? [],
    );

  test('takes the good policies', () => {
    const validate = validator('route');
    assert.ok(policies.length >= 7);
    for (const policy of policies) assert.ok(validate(policy), JSON.stringify(validate.errors));
  });
  test('refuses what is not known, or of the wrong form', () => {
    const validate = validator('route');
    for (const change of [
      { unknown: 1 },
      { incomingAuth: [] },
      { outgoingAuth: { type: 'none' } },
      { session: { bind: 'yes' } },
    ]) {
      assert.equal(validate({ ...policies[0], ...change }), false, JSON.stringify(change));
    }
  });
});

describe('the command', () => {
  for (const name of ['route', 'config']) {
    test(name, async () => {
      const { code, stdout } = await run(name);
      assert.equal(code, 0);
      const { $schema, $id, title } = JSON.parse(stdout);
      assert.equal($schema, 'https://json-schema.org/draft/2020-12/schema');
      assert.equal($id, `urn:envoy-mcp-identity:schema:${name}`);
      assert.ok(title);
    });
  }
  test('help', async () => assert.match((await run('--help')).stdout, /route\|config/));
  for (const args of [[], ['routes'], ['route', 'config']]) {
    test(`wrong: ${args.join(' ') || 'nothing'}`, async () => assert.equal((await run(...args)).code, 2));
  }
});
