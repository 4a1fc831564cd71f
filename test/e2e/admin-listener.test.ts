// What operators ask stands on a listener of its own, and no configuration that we ship leads clients there.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { send } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

describe('the admin listener', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  before(async () => {
    issuer = await startIssuer();
    stack = await startStack({
      config: { incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } } },
      routes: (origin) => [
        {
          prefix: '/a/mcp',
          policy: {
            backend: 'a',
            resource: `${origin}/a/mcp`,
            incomingAuth: ['corp'],
            outgoingAuth: { type: 'unauthenticated' },
          },
        },
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });

  it('what it serves is served nowhere else', async () => {
    for (const path of ['/metrics', '/readyz', '/livez']) {
      assert.equal((await send(`${stack.adminUrl}${path}`)).status, 200, path);
      for (const way of [
        path,
        `/.well-known${path}`,
        `/.well-known/..${path}`,
        `/connect${path}`,
        `/connect/..${path}`,
      ])
        assert.notEqual((await send(`${stack.origin}${way}`)).status, 200, `through Envoy: ${way}`);
    }
  });

  it('it answers nothing that changes or tells anything about users', async () => {
    for (const path of ['/', '/config', '/grants', '/.well-known/mcp-identity/jwks.json', '/connect', '/debug/pprof'])
      assert.equal((await send(`${stack.adminUrl}${path}`)).status, 404, path);
  });

  it('no Envoy configuration that we ship has a way to it, and each keeps its own admin address on loopback', () => {
    const folder = join(import.meta.dirname, '../../envoy');
    const files = readdirSync(folder).filter((name) => name.endsWith('.yaml') && !name.includes('sidecar'));
    assert.ok(files.length >= 5);
    for (const name of files) {
      const envoy = parse(readFileSync(join(folder, name), 'utf8'));
      assert.doesNotMatch(JSON.stringify(envoy.static_resources), /"port_value":(?:9193|9901)\b/, name);
      if (envoy.admin) assert.equal(envoy.admin.address.socket_address.address, '127.0.0.1', name);
    }
  });
});
