import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { discover } from '../../../src/net/discovery.ts';
import { createEgress } from '../../../src/net/egress.ts';
import { type FakeIssuer, startIssuer } from '../../support/issuer.ts';
import { bounded, testTools } from '../authn/support.ts';

describe('discovery', { timeout: 20_000 }, () => {
  const { fetch } = createEgress(testTools());
  let idp: FakeIssuer;
  beforeEach(async () => {
    idp = await startIssuer({ path: '/realms/a' });
  });
  afterEach(() => idp.stop());

  test('OpenID Connect first', async () => {
    const metadata = await discover(idp.issuer, fetch, bounded());
    assert.equal(metadata.jwks_uri, idp.jwksUri);
    assert.equal(idp.requests.discovery, 1);
  });

  test('then RFC 8414, whose well-known part goes before the path', async () => {
    idp.documents.oidc = false;
    const metadata = await discover(idp.issuer, fetch, bounded());
    assert.equal(metadata.jwks_uri, idp.jwksUri);
    assert.equal(idp.requests.discovery, 2);
  });

  test('a server that fails to answer is asked once', async () => {
    idp.trouble = 'hang-up';
    await assert.rejects(discover(idp.issuer, fetch, bounded()), { name: 'EgressError', code: 'network' });
    assert.equal(idp.requests.discovery, 1);
  });

  for (const trouble of ['garbage', 'redirect', { status: 500 }] as const) {
    test(`no document: ${JSON.stringify(trouble)}`, async () => {
      idp.trouble = trouble;
      await assert.rejects(discover(idp.issuer, fetch, bounded()));
    });
  }

  test('another issuer in the document', async () => {
    idp.metadata = { issuer: 'https://evil.example.com' };
    await assert.rejects(discover(idp.issuer, fetch, bounded()), /issuer/);
  });

  test('issuers are compared character by character', async () => {
    const root = await startIssuer();
    try {
      root.metadata = { issuer: `${root.issuer}/` };
      await assert.rejects(discover(root.issuer, fetch, bounded()), {
        message: 'the issuer in the metadata document is another one',
      });
    } finally {
      await root.stop();
    }
  });
});
