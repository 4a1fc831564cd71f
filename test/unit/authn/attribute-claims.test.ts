import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { attributeClaimsSchema, delegationChain, readAttributes } from '../../../src/authn/attribute-claims.ts';

describe('attributes', () => {
  const read = (claims: Record<string, unknown>, names: Record<string, string> = {}) =>
    readAttributes(claims, attributeClaimsSchema.parse(names));

  test('all of them, from the default claims', () => {
    const claims = {
      email: 'a@b',
      name: 'Alice',
      groups: ['g'],
      roles: ['r'],
      teams: ['t'],
      is_admin: true,
      service_account: 'svc',
    };
    const { name, ...rest } = claims;
    assert.deepEqual(read(claims), { ...rest, full_name: name });
  });

  test('from other claims, inside objects too', () => {
    assert.deepEqual(
      read({ realm_access: { roles: ['r'] }, upn: 'a@b' }, { roles: 'realm_access.roles', email: 'upn' }),
      { email: 'a@b', roles: ['r'] },
    );
  });

  test('what has an unexpected type is left out, never coerced', () => {
    const claims = {
      email: 7,
      name: '',
      groups: { a: 1 },
      roles: [1, 'r', '', null],
      teams: [],
      is_admin: 'true',
      service_account: 1,
    };
    assert.deepEqual(read(claims), { roles: ['r'] });
  });

  test('one group as text is a list of one; a service account may be a flag', () => {
    assert.deepEqual(read({ groups: 'g', service_account: false }), { groups: ['g'], service_account: false });
  });

  test('names of Object are no claims', () => {
    assert.deepEqual(read({}, { email: 'constructor.name', full_name: '__proto__' }), {});
  });
});

describe('delegation', () => {
  test('outermost first; actors without name are passed over', () => {
    assert.deepEqual(delegationChain({ act: { sub: 'a', act: { client_id: 'x', act: { sub: 'b' } } } }), ['a', 'b']);
    assert.deepEqual(delegationChain({}), []);
    assert.deepEqual(delegationChain({ act: 'a' }), []);
  });

  test('bounded', () => {
    let act: object | undefined;
    for (let n = 0; n < 1_000; n++) act = { sub: `a${n}`, act };
    assert.equal(delegationChain({ act }).length, 16);
  });
});
