import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMethods } from '../../../src/authn/registry.ts';
import { incomingMethodSchema } from '../../../src/authn/schema.ts';
import { keepNothing } from '../../../src/core/keep.ts';
import { createEgress } from '../../../src/net/egress.ts';
import { dpopParts, testTools } from './support.ts';

describe('registry', () => {
  const tools = testTools();
  const make = (entries: Record<string, unknown>) =>
    createMethods(
      Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, incomingMethodSchema.parse(entry)])),
      keepNothing(tools),
      createEgress(tools),
      dpopParts(tools),
    );

  test('every entry by its name', () => {
    const issuer = 'https://idp.example.com';
    const methods = make({
      corp: { type: 'jwt', issuer, audience: 'api://mcp' },
      partner: { type: 'jwt', issuer: 'https://partner.example.com' },
      guest: { type: 'anonymous' },
    });
    assert.deepEqual([...methods.keys()], ['corp', 'partner', 'guest']);
    const described = [...methods.values()].map(
      ({ name, type, issuer: server, scheme, credentialHeaders, audience }) => ({
        name,
        type,
        server,
        scheme,
        credentialHeaders,
        audience,
      }),
    );
    assert.deepEqual(described, [
      { name: 'corp', type: 'jwt', server: issuer, scheme: 'bearer', credentialHeaders: [], audience: ['api://mcp'] },
      {
        name: 'partner',
        type: 'jwt',
        server: 'https://partner.example.com',
        scheme: 'bearer',
        credentialHeaders: [],
        audience: undefined,
      },
      {
        name: 'guest',
        type: 'anonymous',
        server: undefined,
        scheme: undefined,
        credentialHeaders: [],
        audience: undefined,
      },
    ]);
  });

  test('making methods starts no request', () => {
    make({ corp: { type: 'jwt', issuer: 'https://idp.example.com' } });
    assert.equal(tools.metric('mcp_identity_egress_running'), 0);
    assert.equal(tools.metric('mcp_identity_egress_waiting'), 0);
  });
});
