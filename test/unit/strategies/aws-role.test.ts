import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { prepareRoles, sessionNameOf as nameWith } from '../../../src/strategies/aws-role.ts';
import type { User } from '../../../src/core/identity.ts';
import { userWith } from './world.ts';

const arn = (name: string) => `arn:aws:iam::123456789012:role/${name}`;
const mapping = (claim: string, value: string, role: string, priority = 0) => ({
  claim,
  value,
  roleArn: arn(role),
  priority,
});
const alice = (claims: Record<string, unknown>) => userWith('alice', { claims });

/** Where all tokens are of one issuer. */
const sessionNameOf = (user: User, claim: string) => nameWith(user, claim, 'https://idp.example.com');

describe('roleMappings', () => {
  const cases: [string, ReturnType<typeof mapping>[], Record<string, unknown>, string | undefined][] = [
    ['the value of a claim', [mapping('dept', 'hr', 'hr')], { dept: 'hr' }, 'hr'],
    ['one of its elements', [mapping('groups', 'b', 'b')], { groups: ['a', 'b'] }, 'b'],
    ['a dotted path', [mapping('realm_access.roles', 'b', 'b')], { realm_access: { roles: ['b'] } }, 'b'],
    ['a number', [mapping('level', '3', 'three')], { level: 3 }, 'three'],
    ['the subject', [mapping('sub', 'alice', 'own')], { sub: 'somebody else' }, 'own'],
    ['part of a value does not match', [mapping('dept', 'hr', 'hr')], { dept: 'hr-interns' }, undefined],
    ['nor an element of an element', [mapping('groups', 'b', 'b')], { groups: [['b']] }, undefined],
    ['nor another case', [mapping('dept', 'HR', 'hr')], { dept: 'hr' }, undefined],
    ['nor an object', [mapping('dept', '[object Object]', 'hr')], { dept: {} }, undefined],
    ['nor what is missing', [mapping('dept', 'undefined', 'hr'), mapping('x', 'null', 'hr')], { x: null }, undefined],
    [
      'the lowest priority wins',
      [mapping('g', 'a', 'late', 5), mapping('g', 'b', 'early', 1), mapping('g', 'a', 'later', 9)],
      { g: ['a', 'b'] },
      'early',
    ],
    ['below zero, too', [mapping('g', 'a', 'zero'), mapping('g', 'b', 'minus', -1)], { g: ['a', 'b'] }, 'minus'],
    [
      'on ties the order of the policy',
      [mapping('g', 'b', 'first', 1), mapping('g', 'a', 'second', 1)],
      { g: ['a', 'b'] },
      'first',
    ],
    [
      'a better one that does not match is passed over',
      [mapping('g', 'x', 'x', 0), mapping('g', 'a', 'a', 1)],
      { g: ['a'] },
      'a',
    ],
  ];
  for (const [what, roleMappings, claims, role] of cases) {
    it(what, () => {
      const expected = role === undefined ? undefined : arn(role);
      assert.equal(prepareRoles({ roleMappings, fallbackRoleArn: undefined })(alice(claims)), expected);
      assert.equal(
        prepareRoles({ roleMappings, fallbackRoleArn: arn('fallback') })(alice(claims)),
        expected ?? arn('fallback'),
      );
    });
  }
});

describe('the name of a session', () => {
  it('is the claim where AWS allows it', () => {
    for (const name of ['alice', 'a.b@example.com', 'A+b=c,d-_0', 'xy', 'x'.repeat(64)]) {
      assert.equal(sessionNameOf(alice({ name }), 'name'), name);
    }
    assert.equal(sessionNameOf(alice({ sub: 'other' }), 'sub'), 'alice');
    assert.equal(sessionNameOf(alice({ id: 12345 }), 'id'), '12345');
  });

  it('is the subject, marked, where there is no such claim', () => {
    for (const name of [undefined, null, '', ['x'], {}, true])
      assert.match(sessionNameOf(alice({ name }), 'name'), /^alice=[\w.]{10}$/);
  });

  it('is marked for users of another issuer, and where there are several', () => {
    const other = { ...alice({}), issuer: 'urn:envoy-mcp-identity:ci' };
    const names = [
      nameWith(alice({}), 'sub', undefined),
      sessionNameOf(other, 'sub'),
      nameWith(other, 'sub', undefined),
    ];
    for (const name of names) assert.match(name, /^alice=[\w.]{10}$/);
    assert.notEqual(names[0], names[1]);
    assert.equal(names[1], names[2]);
  });

  it('what is not allowed, or too long or short, is changed and marked', () => {
    assert.match(sessionNameOf(alice({ name: 'Jürgen | Köln' }), 'name'), /^J-rgen---K-ln=[\w.]{10}$/);
    assert.match(sessionNameOf(alice({ name: 'auth0|1/2' }), 'name'), /^auth0-1-2=[\w.]{10}$/);
    assert.match(sessionNameOf(alice({ name: 'y'.repeat(65) }), 'name'), /^y{53}=[\w.]{10}$/);
    assert.match(sessionNameOf(alice({ name: 'x' }), 'name'), /^x=[\w.]{10}$/);
  });

  it('is good for AWS, and never the same for two', () => {
    const names = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 80 }),
      fc.stringMatching(/^[a-c |=]{1,4}$/),
    );
    const nameOf = (text: string) => sessionNameOf(alice({ name: text }), 'name');
    fc.assert(
      fc.property(names, names, (one, other) => {
        assert.match(nameOf(one), /^[\w+=,.@-]{2,64}$/);
        assert.match(nameOf(nameOf(one)), /^[\w+=,.@-]{2,64}$/);
        if (one !== other) assert.notEqual(nameOf(one), nameOf(other));
        if (nameOf(one) !== one) assert.notEqual(nameOf(nameOf(one)), nameOf(one), 'nobody can take another’s name');
      }),
      { numRuns: 2_000 },
    );
  });
});
