import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createEgress } from '../../src/net/egress.ts';
import { createProvider } from '../../src/upstream/provider.ts';
import { createRefresher } from '../../src/upstream/refresher.ts';
import { openVault } from '../../src/upstream/vault/open.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { newKey, testTools, vaultConfig } from '../support/vault-tools.ts';
import { testAudit, providerConfig } from '../unit/upstream/support.ts';
import { ask, KEY, tokenOf, World } from '../unit/upstream/refresher-world.ts';

/** The service's side of one provider with the limits of production, over a vault in memory. */
async function upstream(fields: Readonly<Record<string, unknown>>) {
  const tools = testTools();
  const egress = createEgress({ log: tools.log, metrics: tools.metrics });
  const provider = createProvider('github', providerConfig(fields), tools, egress);
  const vault = await openVault(vaultConfig('memory', [newKey('k1')]), tools);
  const audit = testAudit();
  const refresherOver = (one = provider) =>
    createRefresher({ vault, providers: new Map([['github', one]]), tools, audit, ownerId: 'a' });
  return { tools, egress, provider, vault, audit, refresherOver };
}

const ALICE = { issuer: 'https://idp.example.com', subject: 'alice' };
const GRANT = { ...ALICE, provider: 'github' };

describe('attacks on the upstream side', { timeout: 60_000 }, () => {
  test('a provider that takes six seconds for a refresh, and kills families on reuse, costs nobody their account', async (t) => {
    const fake: FakeProvider = await startProvider();
    t.after(() => fake.stop());
    const { vault, refresherOver } = await upstream({ issuer: fake.issuer });
    const refresher = refresherOver();
    t.after(() => refresher.close());
    await vault.create(GRANT, fake.issue('alice', { lifetimeSeconds: 60, ageSeconds: 61 }));
    const release = fake.hold('before');
    const first = refresher.token(ALICE, 'github', AbortSignal.timeout(20_000));
    await delay(6_000);
    release();
    await first;
    await delay(2_000); // the wait after a failure
    const answer = await refresher.token(ALICE, 'github', AbortSignal.timeout(20_000));
    const kept = (await vault.read(GRANT)) !== undefined;
    assert.deepEqual({ reused: fake.reused, kind: answer.kind, kept }, { reused: 0, kind: 'token', kept: true });
  });

  test('a provider entry that points somewhere else now: the old refresh token is not sent there', async (t) => {
    const [before, now] = [await startProvider(), await startProvider()];
    t.after(() => Promise.all([before.stop(), now.stop()]));
    const { tools, egress, vault, refresherOver, provider } = await upstream({ issuer: before.issuer });
    const callback = { params: new URLSearchParams({ code: before.code('alice'), state: 's', iss: before.issuer }) };
    const granted = await provider.exchangeCode(
      { ...callback, redirectUri: 'http://127.0.0.1/cb', codeVerifier: 'v'.repeat(43), expectedState: 's' },
      AbortSignal.timeout(5_000),
    );
    assert.ok(granted.kind === 'granted');
    await vault.create(GRANT, { ...granted.content, expiresAtMs: Date.now() - 1 });
    const moved = createProvider('github', providerConfig({ issuer: now.issuer }), tools, egress);
    const refresher = refresherOver(moved);
    t.after(() => refresher.close());
    const answer = await refresher.token(ALICE, 'github', AbortSignal.timeout(5_000));
    const sent = now.tokenRequests().map(({ params }) => params.get('refresh_token'));
    const kept = (await vault.read(GRANT)) !== undefined;
    assert.deepEqual({ sent, kept, kind: answer.kind }, { sent: [], kept: true, kind: 'unconnected' });
  });

  test('a flood of made-up codes at the callback of a provider does not keep tokens of others from being refreshed', async (t) => {
    const respond = (response: ServerResponse, status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    // Codes take it a while; refreshes are quick.
    const server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      request.on('end', () => {
        const params = new URLSearchParams(body);
        if (params.get('grant_type') === 'refresh_token')
          respond(response, 200, { access_token: 'at-new', token_type: 'Bearer', expires_in: 3_600 });
        else setTimeout(() => respond(response, 400, { error: 'invalid_grant' }), 1_000);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { provider, vault, refresherOver } = await upstream({
      authorizationEndpoint: `${origin}/authorize`,
      tokenEndpoint: `${origin}/token`,
    });
    const refresher = refresherOver();
    t.after(() => refresher.close());
    const fake = await startProvider();
    t.after(() => fake.stop());
    await vault.create(GRANT, fake.issue('alice', { lifetimeSeconds: 60, ageSeconds: 61 }));
    const input = { redirectUri: `${origin}/cb`, codeVerifier: 'v'.repeat(43), expectedState: 's' };
    const flood = Array.from({ length: 400 }, (_, i) =>
      provider.exchangeCode(
        { ...input, params: new URLSearchParams({ code: `made-up-${i}`, state: 's' }) },
        AbortSignal.timeout(12_000),
      ),
    );
    await delay(50);
    const startMs = performance.now();
    const answer = await refresher.token(ALICE, 'github', AbortSignal.timeout(10_000));
    const tookMs = performance.now() - startMs;
    await Promise.all(flood);
    assert.equal(answer.kind, 'token', JSON.stringify(answer));
    assert.ok(tookMs < 1_000, `the refresh took ${tookMs} ms`);
  });

  test('a refresh that took its time does not make another replica serve the token beyond its end', async (t) => {
    const w = new World();
    t.after(() => Promise.all(w.refreshers.map((one) => one.close())));
    const [slow, other] = [w.refresher(), w.refresher()];
    // Ten seconds of life; both replicas have the same clock.
    const short = (name: string, issuedAtMs: number) =>
      w.content(name, { issuedAtMs, expiresAtMs: issuedAtMs + 10_000 });
    await w.vault.create(KEY, short('first', w.tools.time.nowMs));
    await ask(other);
    w.pass(9_100);
    const sentAtMs = w.tools.time.nowMs;
    let answerNow = () => {};
    w.github.next = (grant) =>
      new Promise((resolve) => {
        answerNow = () =>
          resolve({ kind: 'refreshed', content: { ...short('second', sentAtMs), connectedAtMs: grant.connectedAtMs } });
      });
    const refreshed = ask(slow); // the token is issued at once, the answer takes five seconds
    while (w.github.calls.length === 0) await delay(2);
    w.pass(5_000);
    void Promise.resolve(ask(other, undefined, undefined, AbortSignal.timeout(50))).catch(() => {}); // a look at the old one
    await delay(100);
    answerNow();
    assert.equal(tokenOf(await refreshed), 'at-second');
    w.github.next = (_grant, call) => ({ kind: 'refreshed', content: w.content(`later-${call}`) });
    w.pass(1_000);
    await ask(other);
    w.pass(sentAtMs + 10_500 - w.tools.time.nowMs); // half a second after its end
    assert.notEqual(tokenOf(await ask(other)), 'at-second', 'an expired token was handed out');
  });
});
