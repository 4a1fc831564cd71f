// docs/recipes/identity-providers/keycloak.md against a real Keycloak 26: the realm is set up as the page says, and the
// page's own configuration judges its tokens. Not part of a normal run: see start-keycloak.ts.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { createChain } from '../../src/authn/chain.ts';
import { createMethods } from '../../src/authn/registry.ts';
import type { User } from '../../src/core/identity.ts';
import { HeaderFields } from '../../src/core/request-facts.ts';
import { keepNothing } from '../../src/core/keep.ts';
import { createEgress } from '../../src/net/egress.ts';
import { dpopClient } from '../support/dpop-client.ts';
import { configOf, readRecipePage } from '../support/recipe-page.ts';
import { bounded, dpopParts, requestWith, testTools } from '../unit/authn/support.ts';
import { type Keycloak, KEYCLOAK_HOME, NO_KEYCLOAK, startKeycloak } from './start-keycloak.ts';

const ISSUER = 'https://sso.example.com/realms/corp';

describe('the recipe for Keycloak', { skip: NO_KEYCLOAK, timeout: 300_000 }, () => {
  const page = readRecipePage('identity-providers/keycloak.md');
  const resource: string = page.policies[0].resource;
  let keycloak: Keycloak;
  let ask: (lines: readonly string[], methods?: readonly string[]) => Promise<string | User>;

  const signIn = async (user: string, client = 'mcp-client', headers: readonly string[] = []) => {
    const fields = { grant_type: 'password', client_id: client, username: user, password: user };
    const answer = await keycloak.form('token', { ...fields, scope: 'openid mcp:read' }, headers);
    assert.equal(answer.status, 200, answer.body);
    return answer.json() as { access_token: string; id_token: string; refresh_token: string; token_type: string };
  };
  const bearer = (token: string) => ['Authorization', `Bearer ${token}`];

  /** What the page says under "In the realm". */
  const setUp = async () => {
    const mapper = (name: string, protocolMapper: string, config: object) => ({
      name,
      protocol: 'openid-connect',
      protocolMapper,
      config: { 'access.token.claim': 'true', ...config },
    });
    const scope = {
      name: 'mcp:read',
      protocol: 'openid-connect',
      attributes: { 'include.in.token.scope': 'true' },
      protocolMappers: [
        mapper('resource', 'oidc-audience-mapper', { 'included.custom.audience': resource }),
        mapper('groups', 'oidc-group-membership-mapper', { 'claim.name': 'groups', 'full.path': 'true' }),
      ],
    };
    const created = await keycloak.admin('POST', '/client-scopes', scope);
    const scopeId = created.headers['location']?.split('/').at(-1);
    for (const light of [false, true]) {
      const name = light ? 'light-client' : 'mcp-client';
      if (light) {
        await keycloak.admin('POST', '/clients', {
          clientId: name,
          publicClient: true,
          directAccessGrantsEnabled: true,
          attributes: { 'client.use.lightweight.access.token.enabled': 'true' },
        });
      }
      const [client] = (await keycloak.admin('GET', `/clients?clientId=${name}`)).json();
      await keycloak.admin('PUT', `/clients/${client.id}/optional-client-scopes/${scopeId}`);
    }
    await keycloak.admin('POST', '/roles', { name: 'editor' });
    const editor = (await keycloak.admin('GET', '/roles/editor')).json();
    const group = await keycloak.admin('POST', '/groups', { name: 'staff' });
    const [alice] = (await keycloak.admin('GET', '/users?username=alice&exact=true')).json();
    await keycloak.admin('POST', `/users/${alice.id}/role-mappings/realm`, [editor]);
    await keycloak.admin('PUT', `/users/${alice.id}/groups/${group.headers['location']?.split('/').at(-1)}`);
  };

  before(async () => {
    keycloak = await startKeycloak(KEYCLOAK_HOME as string);
    await setUp();
    const text = JSON.stringify(page.sidecar).replaceAll(ISSUER, keycloak.issuer);
    const { incomingAuth } = await configOf({ ...page, sidecar: JSON.parse(text) });
    const tools = testTools(Date.now());
    const parts = { ...dpopParts(tools), publicUrl: resource };
    const methods = createMethods(incomingAuth, keepNothing(tools), createEgress(tools), parts);
    ask = async (lines, names = page.policies[0].incomingAuth) => {
      tools.time.nowMs = Date.now();
      const accepted = names.map((name) => methods.get(name)).filter((method) => method !== undefined);
      const headers = new HeaderFields(lines.map((line, i) => (i % 2 === 0 ? line.toLowerCase() : line)));
      const facts = { ...requestWith({}), path: new URL(resource).pathname, headers };
      const outcome = await createChain(accepted, resource)(facts, bounded());
      if (outcome.kind === 'identified') return outcome.identity as User;
      return [outcome.refusal.reason, outcome.refusal.detail].filter(Boolean).join(': ');
    };
  });
  after(() => keycloak?.stop());

  it('an access token is accepted, and read as the page says', async () => {
    const { access_token: token } = await signIn('alice');
    assert.deepEqual([decodeProtectedHeader(token).typ, decodeJwt(token)['typ']], ['JWT', 'Bearer']);
    const user = await ask(bearer(token));
    assert.ok(typeof user === 'object', user as string);
    const { subject, scopes, attributes, claims } = user;
    assert.equal(subject, decodeJwt(token).sub);
    for (const scope of page.policies[0].scopes) assert.ok(scopes.has(scope), [...scopes].join(' '));
    assert.deepEqual([attributes.email, attributes.groups], ['alice@example.com', ['/staff']]);
    assert.deepEqual(attributes.roles, ['editor']);
    assert.equal(claims['preferred_username'], 'alice');
    assert.ok([claims['aud']].flat().includes('gateway'), 'the exchange needs it');
  });

  it('its neighbours are refused', async () => {
    const { id_token, refresh_token } = await signIn('alice');
    assert.equal(decodeJwt(id_token)['typ'], 'ID');
    assert.equal(await ask(bearer(id_token)), 'token_claims: typ has not the required value');
    assert.equal(await ask(bearer(refresh_token)), 'token_algorithm');
    const answer = await keycloak.form('token', {
      grant_type: 'password',
      client_id: 'mcp-client',
      username: 'alice',
      password: 'alice',
    });
    assert.equal(await ask(bearer(answer.json().access_token)), 'token_audience', 'without the scope and its mapper');
  });

  it('a lightweight token', async () => {
    const { access_token: token } = await signIn('alice', 'light-client');
    assert.equal(decodeJwt(token).sub, undefined, JSON.stringify(decodeJwt(token)));
    assert.equal(await ask(bearer(token)), 'token_claims: sub is no usable subject');
  });

  it('DPoP', async () => {
    const client = await dpopClient();
    const endpoint = `${keycloak.issuer}/protocol/openid-connect/token`;
    const proof = await client.proof('POST', endpoint, '', { claims: { ath: undefined } });
    const { access_token: token, token_type: type } = await signIn('alice', 'mcp-client', ['DPoP', proof]);
    assert.deepEqual([type, decodeJwt(token)['typ']], ['DPoP', 'DPoP']);
    assert.equal(await ask(bearer(token)), 'token_sender_constrained');
    const user = await ask(await client.headers('POST', resource, token), ['bound']);
    assert.ok(typeof user === 'object', user as string);
    assert.equal(await ask(bearer(token), ['bound']), 'token_sender_constrained');
  });
});
