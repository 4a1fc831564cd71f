import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { rpc, send, toolCall } from '../support/http.ts';
import type { Recipe } from '../support/recipe.ts';

/** Values of the secrets that the recipes name. */
export const RECIPE_ENV = {
  SEARCH_KEY: 'search-key-value',
  SESSION_KEY: Buffer.alloc(32, 5).toString('base64'),
  ASSERTION_KEY: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  }) as string,
};

/** A request to `url` under the name `host`; POST when there is a message. */
async function sendTo(host: string, url: string, headers: readonly string[] = [], message?: object) {
  const pairs = headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1]]] : []));
  const outgoing = request(url, {
    method: message ? 'POST' : 'GET',
    headers: { host, 'content-type': 'application/json', ...Object.fromEntries(pairs) },
    signal: AbortSignal.timeout(15_000),
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on('response', resolve).on('error', reject);
  });
  outgoing.end(message && JSON.stringify(message));
  const response = await answered;
  return { status: response.statusCode ?? 0, body: await text(response) };
}

/** A caller of the recipe's first issuer. */
async function bearer(recipe: Recipe, resource: string, claims: Record<string, unknown> = {}): Promise<string[]> {
  return ['Authorization', `Bearer ${await recipe.issuer.token({ aud: resource, ...claims })}`];
}

/** What the comments of each recipe promise, as requests. */
export const REQUESTS: Record<string, (recipe: Recipe) => Promise<void>> = {
  async 'header-only'(recipe) {
    const { origin, backend } = recipe;
    const claims = { email: 'alice@example.com', scope: 'crm:read', realm_access: { roles: ['editor', 'admin'] } };
    const token = await bearer(recipe, `${origin}/crm/mcp`, claims);
    const made = ['X-User-Sub', 'root', 'X-Trace-Id', 't1', 'X-Other', '1'];
    assert.equal((await rpc(`${origin}/crm/mcp`, toolCall('x'), [...token, ...made])).status, 200);
    const crm = backend.last();
    assert.equal(crm.url, '/mcp');
    assert.partialDeepStrictEqual(crm.headers, {
      'x-user-sub': 'alice',
      'x-user-email': 'alice@example.com',
      'x-user-roles': 'editor,admin',
      'x-trace-id': 't1',
    });
    assert.equal(crm.headers['x-other'], undefined);

    const search = `${origin}/search/mcp`;
    assert.equal((await rpc(search, toolCall('x'), await bearer(recipe, search))).status, 200);
    assert.equal(backend.last().headers['authorization'], RECIPE_ENV.SEARCH_KEY);
    assert.equal(backend.last().headers['x-api-version'], '2');

    assert.equal((await rpc(`${origin}/builds/mcp`, toolCall('x'), ['X-Api-Key', 'nightly'])).status, 200);
    assert.equal(backend.last().headers['x-forwarded-user-id'], 'nightly-build');
    assert.equal(backend.last().headers['x-forwarded-user-auth-method'], 'api_key');
    assert.equal(backend.last().headers['x-api-key'], undefined);
    assert.equal((await rpc(`${origin}/builds/mcp`, toolCall('x'), ['X-Api-Key', 'other'])).status, 401);

    assert.equal((await rpc(`${origin}/public/mcp`, toolCall('x'), ['X-User-Sub', 'alice'])).status, 200);
    assert.equal(backend.last().headers['x-user-sub'], undefined);
  },

  async tools(recipe) {
    const { origin, backend } = recipe;
    const repos = `${origin}/repos/mcp`;
    const call = async (tool: string, scope: string) =>
      rpc(repos, toolCall(tool), await bearer(recipe, repos, { scope }));
    assert.equal((await call('list', 'repo:read')).status, 200);
    const lacking = await call('admin_users', 'repo:read');
    assert.equal(lacking.status, 403);
    assert.match(lacking.headers['www-authenticate'] ?? '', /error="insufficient_scope".*scope="repo:read repo:admin"/);
    assert.equal((await call('admin_users', 'repo:read repo:admin')).status, 200);
    assert.equal((await call('delete_repo', 'repo:read repo:admin repo:write')).status, 403);
    assert.equal((await call('delete_draft', 'repo:read repo:write')).status, 200);

    const modern = `${origin}/modern/mcp`;
    const headers = (name: string) => [
      'Mcp-Protocol-Version',
      '2026-07-28',
      'Mcp-Method',
      'tools/call',
      'Mcp-Name',
      name,
    ];
    const token = await bearer(recipe, modern);
    assert.equal((await rpc(modern, toolCall('harmless'), [...token, ...headers('harmless')])).status, 200);
    const mismatch = await rpc(modern, toolCall('harmful'), [...token, ...headers('harmless')]);
    assert.equal(mismatch.status, 400);
    assert.equal(mismatch.json().error.code, -32020);

    // Beyond what `Check` would take: the body was not held up.
    const files = `${origin}/files/mcp`;
    const large = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'put', text: 'x'.repeat(5 << 20) } };
    assert.equal((await rpc(files, large, await bearer(recipe, files))).status, 200);
    assert.ok(backend.last().body.length > 5 << 20);
    assert.equal((await rpc(repos, large, await bearer(recipe, repos, { scope: 'repo:read' }))).status, 413);
  },

  async 'several-resources'(recipe) {
    const { origin, backend } = recipe;
    const at = async (host: string, headers: readonly string[], path = '/mcp') =>
      (await sendTo(host, origin + path, headers, toolCall('x'))).status;
    const [github, wiki] = ['github.mcp.example.com', 'wiki.mcp.example.com'];
    const staff = await bearer(recipe, `https://${github}/mcp`, { scope: 'github:use' });
    assert.equal(await at(github, staff), 200);
    assert.equal(backend.last().headers['x-user-sub'], 'alice');
    assert.equal(await at(wiki, staff), 401, 'a token for another resource');

    const partner = async (claims: object) => [
      'Authorization',
      `Bearer ${await recipe.partner.token({ aud: `https://${wiki}/mcp`, sub: 'pat', ...claims })}`,
    ];
    assert.equal(await at(wiki, await partner({})), 401, 'requiredClaims');
    const good = await partner({ partner_of: 'example' });
    for (const path of ['/mcp', '/mcp/readonly']) {
      assert.equal(await at(wiki, good, path), 200);
      assert.equal(backend.last().headers['x-forwarded-user-id'], 'pat');
      assert.equal(backend.last().headers['x-forwarded-user-issuer'], recipe.partner.issuer);
    }
    assert.equal(await at(github, good), 401, 'an issuer that is not accepted there');

    const metadata = async (host: string) =>
      JSON.parse((await sendTo(host, `${origin}/.well-known/oauth-protected-resource/mcp`)).body);
    assert.deepEqual(await metadata(wiki), {
      resource: `https://${wiki}/mcp`,
      authorization_servers: [recipe.issuer.issuer, recipe.partner.issuer],
      bearer_methods_supported: ['header'],
    });
    assert.equal((await metadata(github)).resource, `https://${github}/mcp`);
    assert.equal(await at('evil.example.com', staff), 404);
  },

  async propagation(recipe) {
    const { origin, backend } = recipe;
    const claims = {
      email: 'alice@example.com',
      realm_access: { groups: ['g1', 'g2'] },
      department: 'R&D',
      act: { sub: 'agent' },
    };
    const meta = () => JSON.parse(backend.last().body.toString()).params._meta;
    const call = async (name: string, withToken = true) => {
      const resource = `${origin}/${name}/mcp`;
      const forged = { ...toolCall('x'), params: { name: 'x', _meta: { user: { id: 'root' }, progressToken: 1 } } };
      const answer = await rpc(resource, forged, withToken ? await bearer(recipe, resource, claims) : []);
      assert.equal(answer.status, 200, answer.body);
      return backend.last().headers;
    };
    await call('notes');
    assert.deepEqual(meta(), {
      progressToken: 1,
      user: { id: 'alice', email: 'alice@example.com', groups: ['g1', 'g2'] },
    });
    await call('notes', false);
    assert.deepEqual(meta(), { progressToken: 1 });

    const ledger = await call('ledger');
    assert.partialDeepStrictEqual(ledger, {
      'x-acting-user-id': 'alice',
      'x-acting-user-issuer': recipe.issuer.issuer,
      'x-acting-user-auth-method': 'jwt',
      'x-acting-user-delegation-chain': 'agent',
      'x-acting-user-department': 'R&D',
    });
    assert.partialDeepStrictEqual(meta()['com.example/user'], { id: 'alice', delegation_chain: ['agent'] });
    const assertion = ledger['x-acting-user-assertion'] ?? '';
    assert.equal(assertion.split('.').length, 3);
    const jwks = (await send(`${origin}/.well-known/mcp-identity/jwks.json`)).json();
    const header = JSON.parse(Buffer.from(assertion.split('.')[0] ?? '', 'base64url').toString());
    assert.ok(jwks.keys.some((key: { kid: string }) => key.kid === header.kid));

    assert.equal((await call('plain'))['x-forwarded-user-id'], 'alice');
    assert.deepEqual(
      meta(),
      { user: { id: 'root' }, progressToken: 1 },
      'a backend that is sent no `_meta` must not read it',
    );
  },

  async sessions(recipe) {
    const { origin, backend } = recipe;
    backend.respond = (seen, response) => {
      if (seen.body.includes('initialize')) response.setHeader('mcp-session-id', 'backend-1');
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","id":1,"result":{}}');
    };
    const initialize = { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25' } };
    const open = async (name: string, more: readonly string[] = []) => {
      const resource = `${origin}/${name}/mcp`;
      const answer = await rpc(resource, initialize, [...(await bearer(recipe, resource)), ...more]);
      return answer.headers['mcp-session-id'] ?? '';
    };
    const use = async (name: string, id: string, sub: string, more: readonly string[] = []) => {
      const resource = `${origin}/${name}/mcp`;
      return rpc(resource, toolCall('x'), [
        ...(await bearer(recipe, resource, { sub })),
        'Mcp-Session-Id',
        id,
        ...more,
      ]);
    };
    const desk = await open('desk');
    assert.notEqual(desk, 'backend-1');
    assert.equal((await use('desk', desk, 'alice')).status, 200);
    assert.equal(backend.last().headers['mcp-session-id'], 'backend-1');
    assert.equal((await use('desk', desk, 'bob')).status, 404);
    assert.equal((await use('desk', 'backend-1', 'alice')).status, 404);

    const tenants = await open('tenants', ['X-Tenant-Id', 'first']);
    assert.equal((await use('tenants', tenants, 'alice', ['X-Tenant-Id', 'second'])).status, 200);
    assert.equal(backend.last().headers['x-tenant-id'], 'first');
    const end = { method: 'DELETE', headers: ['Mcp-Session-Id', tenants] };
    assert.equal((await send(`${origin}/tenants/mcp`, end)).status, 200);
    assert.equal(backend.last().headers['x-user-sub'], 'alice');
  },
};
