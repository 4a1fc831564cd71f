import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createEgress } from '../../../src/net/egress.ts';
import { prepareRoles, sessionNameOf } from '../../../src/strategies/aws-role.ts';
import { outgoingAuthSchema, type OutgoingAuthOf } from '../../../src/strategies/schema.ts';
import { createTokenExchange, TokenExchanges } from '../../../src/strategies/token-exchange.ts';
import type { SecretRef } from '../../../src/core/secret.ts';
import { tokenExchangeClientSchema } from '../../../src/upstream/schema.ts';
import { bounded, testTools } from '../authn/support.ts';
import { startEndpoint, userWith } from './world.ts';

describe('attacks on what is issued for users', () => {
  it('a backend that refuses everything does not make every call an exchange', async (t) => {
    const endpoint = await startEndpoint();
    t.after(() => endpoint.stop());
    endpoint.answer = (_, call) => ({
      body: {
        access_token: `issued-${call}`,
        token_type: 'Bearer',
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        expires_in: 3_600,
      },
    });
    const tools = testTools(Date.now());
    const client = tokenExchangeClientSchema.parse({ tokenEndpoint: endpoint.url, clientId: 'c', clientSecret: 's' });
    (client.clientSecret as SecretRef).read('s');
    const egress = createEgress({ log: tools.log, metrics: tools.metrics });
    const exchanges = new TokenExchanges({ hr: client }, tools, egress);
    const policy = outgoingAuthSchema.parse({
      type: 'token_exchange',
      tokenExchange: { exchange: 'hr', audience: 'hr' },
    }) as OutgoingAuthOf<'token_exchange'>;
    const strategy = createTokenExchange(policy, exchanges, undefined, tools);
    const alice = userWith('alice');
    for (let i = 0; i < 50; i++) {
      const outcome = await strategy.credential(alice, bounded());
      assert.ok(outcome.kind === 'write');
      exchanges.invalidate(outcome.credential?.invalidate);
    }
    assert.ok(endpoint.calls.length <= 2, `${endpoint.calls.length} exchanges for 50 calls within a moment`);
  });

  it('the same subject of two issuers is not one session at AWS', () => {
    const [here, there] = [userWith('bob'), { ...userWith('bob'), issuer: 'https://partner.example.com' }];
    for (const sole of [undefined, here.issuer])
      assert.notEqual(sessionNameOf(here, 'sub', sole), sessionNameOf(there, 'sub', sole));
  });

  it('a subject that reads like the e-mail address of somebody else is not that person’s session', () => {
    const bob = userWith('1', { claims: { email: 'bob@example.com' } });
    const mallory = userWith('bob@example.com');
    for (const sole of [undefined, bob.issuer])
      assert.notEqual(sessionNameOf(bob, 'email', sole), sessionNameOf(mallory, 'email', sole));
  });

  it('a role is never chosen by what an object inherits', () => {
    const role = 'arn:aws:iam::123456789012:role/r';
    for (const claim of ['constructor', '__proto__', 'constructor.name', 'toString', 'a.length', 'a.0']) {
      const mapping = { claim, value: 'Object', roleArn: role, priority: 0 };
      for (const value of ['Object', '1', 'x', 'undefined'])
        assert.equal(
          prepareRoles({ roleMappings: [{ ...mapping, value }], fallbackRoleArn: undefined })(
            userWith('eve', { claims: { a: ['x'] } }),
          ),
          undefined,
        );
    }
  });
});
