import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openVault } from '../../src/upstream/vault/open.ts';
import { rpc, toolCall } from '../support/http.ts';
import { startIssuer } from '../support/issuer.ts';
import { startProvider } from '../support/provider.ts';
import { startStack } from '../support/stack.ts';
import { testTools, vaultConfig } from '../support/vault-tools.ts';

/** Nearly as long as a provider may take for a refresh. */
const SLOW_MS = 17_000;

describe('SIGTERM while a slow provider rotates a token', { timeout: 90_000 }, () => {
  it('the process stays until it has stored what the provider gives, and ends with 0', async (t) => {
    const bytes = randomBytes(32);
    const [issuer, github] = [await startIssuer(), await startProvider({ lifetimeSeconds: 300 })];
    t.after(() => Promise.all([issuer.stop(), github.stop()]));
    const stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
        upstreamProviders: { github: { issuer: github.issuer, clientId: 'c', clientAuth: 'none' } },
        vault: { store: 'sqlite:./vault.db', keys: [{ id: 'k1', key: bytes.toString('base64') }] },
        connect: { login: { issuer: issuer.issuer, clientId: 'login', clientAuth: 'none' } },
      },
      routes: (origin) => [
        {
          prefix: '/github/mcp',
          policy: {
            backend: 'github',
            resource: `${origin}/github/mcp`,
            incomingAuth: ['corp'],
            outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'github' } },
          },
        },
      ],
    });
    t.after(() => stack.stop());
    const key = { issuer: issuer.issuer, subject: 'alice', provider: 'github' };
    const vault = await openVault(
      vaultConfig(`sqlite:${join(stack.folder, 'vault.db')}`, [{ id: 'k1', bytes }]),
      testTools(),
    );
    t.after(() => vault.close());
    // Still good, but in its last fifth: refreshed in the background, and no call waits for it.
    const before = await vault.create(key, github.issue('alice', { lifetimeSeconds: 300, ageSeconds: 255 }));
    const release = github.hold('after');
    const url = `${stack.origin}/github/mcp`;
    const token = await issuer.token({ aud: url, sub: 'alice' });
    assert.equal((await rpc(url, toolCall('x'), ['Authorization', `Bearer ${token}`])).status, 200);
    while (github.refreshes.length === 0) await delay(5); // from here on only the answer holds the new refresh token

    const service = stack.services[0]!;
    service.process.kill('SIGTERM');
    await delay(SLOW_MS); // what is tested: that the process waits for so long
    assert.equal(service.process.exitCode, null);
    release();
    assert.equal(await service.exited, 0);
    const stored = await vault.read(key);
    assert.notEqual(stored?.refreshToken?.reveal(), before.refreshToken?.reveal());
    assert.equal(github.userOf(stored?.accessToken.reveal() ?? ''), 'alice');
    assert.match(service.stdout, /"event":"refresh","outcome":"allow"/);
  });
});
