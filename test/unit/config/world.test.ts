import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { worldOf } from '../../../src/config/world.ts';
import { GOOD_ENV } from '../../support/good-pair.ts';

const GOOD = join(import.meta.dirname, '../../config/good');

function worldIn(name: string) {
  const loaded = loadConfig(join(GOOD, name), GOOD_ENV);
  assert.ok(loaded.ok);
  return worldOf(loaded.config);
}

test('everything that a policy may name', () => {
  const world = worldIn('full.sidecar.yaml');
  assert.deepEqual(Object.fromEntries(world.methods), {
    corp: {
      type: 'jwt',
      trustsAddresses: false,
      issuer: 'https://idp.example.com',
      subjectClaim: 'sub',
      headers: ['authorization'],
    },
    partner: {
      type: 'jwt',
      trustsAddresses: false,
      issuer: 'https://partner.example.com',
      subjectClaim: 'sub',
      headers: ['authorization'],
    },
    opaque: {
      type: 'introspection',
      trustsAddresses: false,
      issuer: 'https://idp.example.com',
      subjectClaim: 'sub',
      headers: ['authorization'],
    },
    ci: { type: 'api_key', trustsAddresses: false, headers: ['x-api-key'] },
    legacy: { type: 'basic', trustsAddresses: false, headers: ['authorization'] },
    mesh: { type: 'trusted_proxy', trustsAddresses: true, headers: ['x-authenticated-user', 'x-authenticated-email'] },
    guest: { type: 'anonymous', trustsAddresses: false, headers: [] },
  });
  assert.deepEqual([...world.providers], ['github']);
  assert.deepEqual([...world.exchanges], [['hr', { tokenEndpoint: 'https://sso.example.com/token' }]]);
  assert.deepEqual([...world.secrets], ['jira-key', 'api-key']);
  assert.deepEqual([world.loginIssuer, world.loginSubjectClaim], ['https://idp.example.com', undefined]);
  assert.deepEqual([world.hasVaultKeys, world.hasSessionKeys, world.signing], [true, true, { jws: true, hmac: true }]);
});

test('and nothing when there is nothing', () => {
  const world = worldIn('small.sidecar.yaml');
  assert.equal(world.loginIssuer, undefined);
  assert.deepEqual(
    [world.hasVaultKeys, world.hasSessionKeys, world.signing],
    [false, false, { jws: false, hmac: false }],
  );
});
