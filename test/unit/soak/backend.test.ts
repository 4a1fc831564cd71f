import assert from 'node:assert/strict';
import { createHash, hkdfSync, randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { SignJWT } from 'jose';
import { CheckingBackend } from '../../../soak/backend.ts';
import type { Kind } from '../../../soak/kinds.ts';
import { Ledger } from '../../../soak/ledger.ts';
import { Outages } from '../../../soak/outages.ts';
import { createVerifier } from '../../../src/verify/verifier.ts';
import { type ExchangeServer, startExchangeServer } from '../../support/exchange-server.ts';
import { type FakeProvider, startProvider } from '../../support/provider.ts';

const KEY = hkdfSync('sha256', randomBytes(32), '', '', 32);
const verifier = createVerifier({ issuer: 'i', backend: 'b', key: new Uint8Array(KEY) });

/** What a backend of the soak says of requests that the service must not have let through like this. */
describe('the backend of the soak', () => {
  let provider: FakeProvider;
  let exchange: ExchangeServer;
  before(async () => {
    [provider, exchange] = await Promise.all([startProvider(), startExchangeServer()]);
  });
  after(() => Promise.all([provider.stop(), exchange.stop()]));

  /** @returns what it found wrong about a call of user-1 */
  const judged = async (route: string, headers: Record<string, string>, kind: Kind = 'claims', args: object = {}) => {
    const ledger = new Ledger(new Outages());
    ledger.begin({ nonce: 'n1', kind, user: 'user-1', credential: 'the-token-of-the-client', filler: 'abc' });
    const backend = new CheckingBackend({
      ledger,
      provider,
      exchange,
      verifiers: { signed: verifier, meta: verifier },
      streamPauseMs: 1,
    });
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { arguments: { filler: 'abc' }, ...args } };
    const all = { 'x-soak-nonce': 'n1', ...headers };
    const seen = {
      method: 'POST',
      url: `/${route}/mcp`,
      headers: all,
      rawHeaders: Object.entries(all).flat(),
      body: Buffer.from(JSON.stringify(message)),
    };
    await new Promise<void>((resolve) => {
      const response = { writeHead: () => {}, setHeader: () => {}, end: resolve, destroy: () => resolve() };
      backend.respond(seen, response as unknown as ServerResponse);
    });
    return ledger.findings.map(({ what }) => what);
  };
  const good = { 'x-user-sub': 'user-1', 'x-user-email': 'user-1@example.com' };
  const assertion = (sub: string, body: string) =>
    new SignJWT({ htm: 'POST', htu: 'r', body_sha256: createHash('sha256').update(body).digest('base64url') })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer('i')
      .setAudience('b')
      .setSubject(sub)
      .setJti('j')
      .setIssuedAt()
      .setExpirationTime('60s')
      .sign(new Uint8Array(KEY));

  test('finds nothing wrong with what is right', async () => {
    assert.deepEqual(await judged('claims', good), []);
    const { accessToken } = provider.issue('user-1');
    assert.deepEqual(await judged('upstream', { authorization: `Bearer ${accessToken.reveal()}` }, 'upstream'), []);
  });

  test('finds what is wrong', async () => {
    const not = async (found: Promise<string[]>, what: string) => assert.deepEqual(await found, [what]);
    await not(judged('claims', { ...good, 'x-user-sub': 'user-2' }), 'another x-user-sub');
    await not(judged('claims', { ...good, 'x-other': 'made-up-n1' }), 'a header that the client made up');
    await not(judged('claims', { ...good, 'x-other': 'a the-token-of-the-client b' }), 'the credential of the client');
    await not(judged('claims', { ...good, authorization: 'Bearer x' }), 'another authorization');
    await not(judged('claims', good, 'bad tool'), 'a call that should have been denied reached the backend');
    await not(judged('claims', { ...good, 'x-soak-nonce': 'n2' }), 'a call that nobody made');
    await not(judged('claims', { ...good, 'mcp-session-id': 'of-backend-9' }), 'the session of somebody else');
    await not(judged('claims', good, 'claims', { arguments: { filler: 'abd' } }), 'another body');
    const { accessToken } = provider.issue('user-2');
    const upstream = { authorization: `Bearer ${accessToken.reveal()}` };
    await not(judged('upstream', upstream, 'upstream'), 'not a good token of this user');
    const ended = provider.issue('user-1', { ageSeconds: 3_602 }).accessToken.reveal();
    await not(judged('upstream', { authorization: `Bearer ${ended}` }, 'upstream'), 'not a good token of this user');
    const exchanged = await exchange.userToken('user-2', 'hr');
    await not(
      judged('exchange', { authorization: `Bearer ${exchanged}` }, 'exchange'),
      'not an exchanged token of this user',
    );
    const foreign = { 'x-forwarded-user-assertion': await assertion('user-2', ''), 'x-forwarded-user-id': 'user-1' };
    await not(judged('signed', foreign, 'signed'), 'not an assertion about this user');
    const meta = { _meta: { user: { id: 'user-2', email: 'user-2@example.com' } } };
    assert.deepEqual(await judged('meta', {}, 'meta', meta), [
      'another user in _meta',
      'not an assertion about this user in _meta',
    ]);
  });
});
