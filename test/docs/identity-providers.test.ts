// Tokens as identity providers make them, against the configuration that their recipe pages show: the right ones are
// accepted and read as the page says, their neighbours are refused. Shapes are those of the providers' documents; those
// of Keycloak were compared with the real one (test/optional/keycloak-recipe.test.ts).
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createChain } from '../../src/authn/chain.ts';
import { createMethods } from '../../src/authn/registry.ts';
import type { User } from '../../src/core/identity.ts';
import { keepNothing } from '../../src/core/keep.ts';
import { createEgress } from '../../src/net/egress.ts';
import { type FakeIssuer, startIssuer, type TokenOptions } from '../support/issuer.ts';
import { configOf, readRecipePage } from '../support/recipe-page.ts';
import { bounded, dpopParts, requestWith, testTools } from '../unit/authn/support.ts';
import { AUTH0_SHAPES } from './token-shapes/auth0.ts';
import { ENTRA_SHAPES } from './token-shapes/entra-id.ts';
import { GOOGLE_SHAPES } from './token-shapes/google.ts';
import { KEYCLOAK_SHAPES } from './token-shapes/keycloak.ts';
import { OKTA_SHAPES } from './token-shapes/okta.ts';
import type { ProviderShapes, Shape } from './token-shapes/shape.ts';

const SHAPES: Record<string, ProviderShapes> = {
  keycloak: KEYCLOAK_SHAPES,
  'entra-id': ENTRA_SHAPES,
  okta: OKTA_SHAPES,
  auth0: AUTH0_SHAPES,
  google: GOOGLE_SHAPES,
};

let idp: FakeIssuer;
before(async () => {
  idp = await startIssuer();
});
after(() => idp.stop());

/** A token with exactly these claims, and a time to live. */
function tokenOf({ claims, header = {} }: Shape): Promise<string> {
  const iat = Math.floor(Date.now() / 1_000);
  const { typ, ...more } = header;
  const options: TokenOptions = { typ: typ === undefined ? null : (typ as string), header: more };
  return idp.tokenOf(JSON.stringify({ iat, exp: iat + 300, ...claims }), options);
}

/** Says who sends a token to the route of that backend. */
async function gateOf(page: string) {
  const recipe = readRecipePage(page);
  const { incomingAuth } = await configOf(recipe);
  const tools = testTools(Date.now());
  for (const method of Object.values(incomingAuth)) if (method.type === 'jwt') method.jwksUri = idp.jwksUri;
  const methods = createMethods(incomingAuth, keepNothing(tools), createEgress(tools), dpopParts(tools));
  return async (backend: string, shape: Shape) => {
    const policy = recipe.policies.find((one) => one.backend === backend);
    const accepted = (shape.methods ?? policy.incomingAuth).map((name: string) => methods.get(name));
    const chain = createChain(accepted, policy.resource);
    const outcome = await chain(requestWith({ authorization: `Bearer ${await tokenOf(shape)}` }), bounded());
    if (outcome.kind === 'rejected') return outcome.refusal.reason;
    const user = outcome.identity as User;
    const lacking = (policy.scopes ?? []).filter((scope: string) => !user.scopes.has(scope));
    return lacking.length > 0 ? 'scope_missing' : user;
  };
}

test('every page has shapes', () => {
  const folder = join(import.meta.dirname, '../../docs/recipes/identity-providers');
  assert.deepEqual(
    Object.keys(SHAPES)
      .map((name) => `${name}.md`)
      .sort(),
    readdirSync(folder).sort(),
  );
});

for (const [page, { good, refused }] of Object.entries(SHAPES)) {
  describe(page, () => {
    let gate: Awaited<ReturnType<typeof gateOf>>;
    before(async () => {
      gate = await gateOf(`identity-providers/${page}.md`);
    });

    for (const [name, shape] of Object.entries(good)) {
      test(`${name} is accepted`, async () => {
        const { backend = 'hr', is } = shape;
        const user = await gate(backend, shape);
        assert.ok(typeof user === 'object', typeof user === 'string' ? user : '');
        const { subject, issuer, scopes, attributes } = user;
        assert.equal(issuer, shape.claims['iss']);
        assert.deepEqual({ subject, scopes: [...scopes].sort(), ...attributes }, { scopes: [], ...is });
      });
    }

    for (const [name, { reason, ...shape }] of Object.entries(refused)) {
      test(`${name}: ${reason}`, async () => {
        assert.equal(await gate(shape.backend ?? 'hr', shape), reason);
      });
    }
  });
}
