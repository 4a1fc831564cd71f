import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { validatePolicy } from '../../../src/policy/validate.ts';
import type { World } from '../../../src/policy/world.ts';

const world: World = {
  methods: new Map([['guest', { type: 'anonymous', headers: [] }]]),
  providers: new Set(),
  exchanges: new Map(),
  secrets: new Set(),
  hasVaultKeys: true,
  loginIssuer: undefined,
  signing: { jws: true, hmac: true },
  hasSessionKeys: true,
};
const codesOf = (more: object): string[] => {
  const base = { backend: 'b', incomingAuth: ['guest'], outgoingAuth: { type: 'unauthenticated' } };
  return validatePolicy({ ...base, ...more }, world).problems.map(({ code }) => code);
};

describe('policies in which one name means two things', () => {
  // `_meta.user.id` would be the claim `id` of the token instead of the subject, and X-Forwarded-User-Id would be missing.
  for (const [claim, end] of [
    ['id', 'Employee'],
    ['groups', 'Raw-Groups'],
    ['issuer', 'Origin'],
    ['auth_method', 'How'],
  ] as const) {
    for (const mode of ['headers', 'meta', 'both'])
      it(`claims.${claim} beside the attribute ${claim}, mode ${mode}`, () => {
        const identityPropagation = {
          mode,
          attributes: ['id', 'groups', 'issuer', 'auth_method'],
          claims: { [claim]: end },
        };
        assert.deepEqual(codesOf({ identityPropagation }), ['V-11']);
      });
  }

  // The scan refuses a key that folds to ours: every client that asks for progress would be answered 400.
  for (const metaKey of ['progressToken', 'progresstoken', 'ProgressToken', 'TraceParent'])
    it(`metaKey ${metaKey}`, () =>
      assert.deepEqual(codesOf({ identityPropagation: { mode: 'meta', metaKey } }), ['V-14']));

  it('a rule for a tool is kept or refused, whatever the tool is called', () => {
    const tools = JSON.parse('{"__proto__":{"deny":true}}') as object;
    const base = { backend: 'b', incomingAuth: ['guest'], outgoingAuth: { type: 'unauthenticated' }, tools };
    const { policy, problems } = validatePolicy(base, world);
    assert.ok(problems.length > 0 || Object.hasOwn(policy?.tools ?? {}, '__proto__'));
  });
});
