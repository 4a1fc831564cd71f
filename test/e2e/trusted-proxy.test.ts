import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Certificates, makeCertificates, pem } from '../support/certificates.ts';
import { send, toolCall } from '../support/http.ts';
import { type Stack, startStack } from '../support/stack.ts';

const USER = ['X-Authenticated-User', 'alice', 'X-Authenticated-Email', 'alice@example.com'];
/** What a stranger may say of where a request comes from, and over which certificate. */
const FORGED: Record<string, readonly string[]> = {
  'X-Forwarded-For': ['X-Forwarded-For', '10.0.0.1'],
  'X-Forwarded-For, several': ['X-Forwarded-For', '10.0.0.1, 10.0.0.1', 'X-Forwarded-For', '127.0.0.2'],
  'X-Real-IP': ['X-Real-IP', '127.0.0.2'],
  Forwarded: ['Forwarded', 'for=127.0.0.2;by=10.0.0.1'],
  'X-Envoy-External-Address': ['X-Envoy-External-Address', '127.0.0.2'],
  'True-Client-IP': ['True-Client-IP', '127.0.0.2'],
  'X-Forwarded-Client-Cert': ['X-Forwarded-Client-Cert', 'By=spiffe://x;URI=spiffe://test/envoy;Subject="CN=client"'],
  'X-Client-Cert': ['X-Client-Cert', 'spiffe://test/envoy'],
};

describe('headers of a proxy, by who has sent them', () => {
  let folder: string;
  let certificates: Certificates;
  let stack: Stack;
  let trusting: string;
  let secure: number;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'trusted-proxy-'));
    certificates = makeCertificates(folder);
    const route = (name: string, incomingAuth: string[]) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        incomingAuth,
        outgoingAuth: { type: 'unauthenticated' },
        identityPropagation: { mode: 'headers', attributes: ['id', 'email', 'auth_method'] },
      },
    });
    const mesh = { type: 'trusted_proxy', claimHeaders: { email: 'x-authenticated-email' } };
    stack = await startStack({
      listeners: [
        // As behind another proxy: Envoy takes the address of the client from X-Forwarded-For.
        { manager: { use_remote_address: false, xff_num_trusted_hops: 1 } },
        { tls: { ...certificates.server, ca: certificates.ca } },
      ],
      config: {
        incomingAuth: {
          near: { ...mesh, trustedPeers: ['127.0.0.2/32', '10.0.0.0/8'] },
          named: { ...mesh, trustedPeers: ['spiffe://test/envoy'] },
          guest: { type: 'anonymous' },
        },
      },
      routes: () => [route('near', ['near']), route('named', ['named']), route('either', ['near', 'named', 'guest'])],
    });
    trusting = `http://127.0.0.1:${stack.extraPorts[0]}`;
    secure = stack.extraPorts[1] as number;
  });
  after(async () => {
    await stack?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
  });

  const call = (path: string, headers: readonly string[], { from = '127.0.0.1', at = stack.origin } = {}) =>
    send(at + path, {
      method: 'POST',
      headers: ['Content-Type', 'application/json', ...headers],
      body: JSON.stringify(toolCall('x')),
      localAddress: from,
    });
  const named = (): Record<string, string> =>
    Object.fromEntries(
      Object.entries(stack.backend.last().headers).filter(([name]) => /^x-(forwarded-user|authenticated)/.test(name)),
    ) as Record<string, string>;
  const ALICE = {
    'x-forwarded-user-id': 'alice',
    'x-forwarded-user-email': 'alice@example.com',
    'x-forwarded-user-auth-method': 'trusted_proxy',
  };

  it('from its address: believed, and the headers themselves go no further', async () => {
    const answer = await call('/near/mcp', USER, { from: '127.0.0.2' });
    assert.equal(answer.status, 200, answer.body);
    assert.deepEqual(named(), ALICE);
  });

  it('a proxy that is believed is believed whatever it forwards', async () => {
    const headers = [...USER, 'X-Forwarded-For', '192.0.2.7'];
    assert.equal((await call('/near/mcp', headers, { from: '127.0.0.2' })).status, 200);
    assert.deepEqual(named(), ALICE);
  });

  for (const [name, forged] of Object.entries(FORGED)) {
    it(`from elsewhere with ${name}: as if the headers were not there`, async () => {
      for (const at of [stack.origin, trusting]) {
        for (const path of ['/near/mcp', '/named/mcp'])
          assert.equal((await call(path, [...USER, ...forged], { at })).status, 401, `${at}${path}`);
        assert.equal(stack.backend.seen.length, 0);
        const guest = await call('/either/mcp', [...USER, ...forged], { at });
        assert.equal(guest.status, 200, guest.body);
        assert.deepEqual(named(), {});
        stack.backend.seen.length = 0;
      }
    });
  }

  it('no spelling of them passes for another header', async () => {
    const lines = ['X_Authenticated_User', 'alice', 'x-AUTHENTICATED-user', 'bob'];
    assert.equal((await call('/near/mcp', ['X_Authenticated_User', 'alice'], { from: '127.0.0.2' })).status, 401);
    assert.equal((await call('/either/mcp', lines)).status, 200);
    assert.ok(!stack.backend.last().rawHeaders.some((line) => /alice|bob/.test(line)));
    const twice = await call('/near/mcp', [...USER, 'X-Authenticated-User', 'root'], { from: '127.0.0.2' });
    assert.equal(twice.status, 400, 'two users are none');
  });

  it('over TLS: the certificate counts, not what is said about one', async () => {
    const over = async (certificate: { cert: string; key: string } | undefined, headers: readonly string[]) => {
      const options = {
        host: '127.0.0.1',
        port: secure,
        path: '/named/mcp',
        method: 'POST',
        ca: pem(certificates.ca),
        ...(certificate && { cert: pem(certificate.cert), key: pem(certificate.key) }),
        headers: { 'content-type': 'application/json', ...Object.fromEntries(pairs([...USER, ...headers])) },
        agent: false as const,
      };
      const outgoing = request(options);
      const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
      outgoing.end(JSON.stringify(toolCall('x')));
      const [response] = await answered;
      return { status: response.statusCode ?? 0, body: await text(response) };
    };
    const good = await over(certificates.client, []);
    assert.equal(good.status, 200, good.body);
    assert.deepEqual(named(), ALICE);
    stack.backend.seen.length = 0;
    const xfcc = FORGED['X-Forwarded-Client-Cert'] as readonly string[];
    for (const other of [undefined, certificates.server]) {
      assert.equal((await over(other, [])).status, 401);
      assert.equal((await over(other, xfcc)).status, 401);
    }
    assert.equal(stack.backend.seen.length, 0);
  });
});

function pairs(lines: readonly string[]): [string, string][] {
  return lines.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, lines[i + 1] ?? '']] : []));
}
