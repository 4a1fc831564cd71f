import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { it } from 'node:test';
import { createSealers } from '../../../src/app/keys.ts';
import { type Config, configSchema } from '../../../src/config/schema.ts';
import { newKey, type TestKey, vaultConfig } from '../../support/vault-tools.ts';

const ownKeys = [{ id: 'process', key: randomBytes(32) }];
const withSession = (keys: readonly TestKey[]): Config => ({
  ...configSchema.parse({ publicUrl: 'https://mcp.example.com' }),
  session: { keys: vaultConfig('memory', keys).keys, maxAge: 1_000 },
});

it('a request that is between the two filters when all keys change still passes; after the next change no more', (t) => {
  const first = createSealers(withSession([newKey('k1')]), ownKeys, undefined);
  const text = first.plan.seal('plan', ['request']);
  // The same id, another key.
  const second = createSealers(withSession([newKey('k1')]), ownKeys, first);
  assert.equal(second.plan.open(text, ['request']).ok, true);
  assert.equal(second.plan.open(text, ['another request']).ok, false);
  assert.equal(second.session?.open(first.session!.seal('x', []), []).ok, false, 'plans only');
  const third = createSealers(withSession([]), ownKeys, second);
  assert.equal(
    third.plan.open(second.plan.seal('plan', []), []).ok,
    true,
    'from configured keys to those of the process',
  );
  assert.equal(third.plan.open(text, ['request']).ok, false);
  const later = performance.now() + 60_000;
  t.mock.method(performance, 'now', () => later);
  assert.equal(second.plan.open(text, ['request']).ok, false, 'and after a minute');
});
