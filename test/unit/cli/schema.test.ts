import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { type DocumentName, jsonSchemaOf, schema } from '../../../src/cli/schema.ts';
import { EnvoyHandle } from '../../mutation/mutation.ts';
import { goodPair, type Loose } from '../../support/good-pair.ts';

/** What an editor would say, by the rules of the printed JSON Schema alone. */
function validator(name: DocumentName): (value: unknown) => string {
  const fromJson = z.fromJSONSchema(jsonSchemaOf(name));
  return (value) => {
    const { error } = fromJson.safeParse(value);
    return error ? z.prettifyError(error) : 'valid';
  };
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
  const validate = validator('config');
  test('takes the good configuration', () => assert.equal(validate(goodPair().sidecar), 'valid'));
  test('asks only for what has no default', () =>
    assert.equal(validate({ publicUrl: 'https://mcp.example.com' }), 'valid'));
  for (const change of [
    { unknown: 1 },
    { publicUrl: 5 },
    { session: { maxAge: '24' } },
    { secrets: { a: { env: 1 } } },
    { incomingAuth: { a: { type: 'jwtt' } } },
    { incomingAuth: { a: { type: 'jwt' } } },
  ]) {
    test(`refuses ${JSON.stringify(change)}`, () =>
      assert.notEqual(validate({ ...goodPair().sidecar, ...change }), 'valid'));
  }
});

describe('schema route', () => {
  const validate = validator('route');
  const { virtualHost } = new EnvoyHandle(goodPair().envoy);
  const policies: Loose[] = virtualHost.routes.flatMap(
    (route: Loose) => route.metadata?.filter_metadata['mcp.identity'] ?? [],
  );

  test('takes the good policies', () => {
    assert.equal(policies.length, 7);
    for (const policy of policies) assert.equal(validate(policy), 'valid');
  });
  for (const change of [
    { unknown: 1 },
    { incomingAuth: [] },
    { outgoingAuth: { type: 'none' } },
    { session: { bind: 'yes' } },
  ]) {
    test(`refuses ${JSON.stringify(change)}`, () => assert.notEqual(validate({ ...policies[0], ...change }), 'valid'));
  }
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
