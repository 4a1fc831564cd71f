import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeProtectedHeader, exportPKCS8, generateKeyPair } from 'jose';
import { openVault } from '../../src/upstream/vault/open.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { createVerifier, type Verifier } from '../../src/verify/verifier.ts';
import { rpc, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { applied, editConfig, Load } from '../support/reconfigure.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { newKey, type TestKey, testTools, vaultConfig } from '../support/vault-tools.ts';

const written = ({ id, bytes }: TestKey) => ({ id, key: bytes.toString('base64') });
const HEADER = 'x-forwarded-user-assertion';

/** Two replicas behind one Envoy; every change comes by a change of their files, while calls go on. */
describe('keys rotate by reload without one failed call', { timeout: 120_000 }, () => {
  let issuer: FakeIssuer;
  let github: FakeProvider;
  let stack: Stack;
  let vault: Vault;
  let verifier: Verifier;
  const vaultKeys = [newKey('v1'), newKey('v2')] as const;
  const sessionKeys = [newKey('s1'), newKey('s2')] as const;
  let signing: readonly { id: string; alg: string; privateKey: string }[];
  const wrong: string[] = [];
  const kids = new Set<unknown>();

  const url = (name: string) => `${stack.origin}/${name}/mcp`;
  const bearer = async (name: string, sub: string) => [
    'Authorization',
    `Bearer ${await issuer.token({ aud: url(name), sub })}`,
  ];
  /** Both replicas. */
  const change = (edit: Parameters<typeof editConfig>[1]) =>
    applied(stack, () => {
      for (const index of [0, 1]) editConfig(stack, edit, index);
    });
  const listed = async () => {
    const all = [];
    for await (const grant of vault.list()) all.push(grant);
    return all;
  };

  before(async () => {
    [issuer, github] = await Promise.all([startIssuer(), startProvider({ lifetimeSeconds: 4 })]);
    const pem = async () => exportPKCS8((await generateKeyPair('ES256', { extractable: true })).privateKey);
    signing = [
      { id: 'a1', alg: 'ES256', privateKey: await pem() },
      { id: 'a2', alg: 'ES256', privateKey: await pem() },
    ];
    const route = (origin: string, name: string, outgoingAuth: object, more: object = {}) => ({
      prefix: `/${name}/mcp`,
      policy: { backend: name, resource: `${origin}/${name}/mcp`, incomingAuth: ['corp'], outgoingAuth, ...more },
    });
    stack = await startStack({
      extProc: true,
      replicas: 2,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
        upstreamProviders: { github: { issuer: github.issuer, clientId: 'c', clientSecret: 's' } },
        vault: { store: 'sqlite:./vault.db', keys: [written(vaultKeys[0])] },
        connect: {
          login: { issuer: issuer.issuer, clientId: 'login', clientSecret: 'x' },
          cookieKeys: [randomBytes(32).toString('base64')],
        },
        session: { keys: [written(sessionKeys[0])] },
        signing: { current: { jws: 'a1' }, keys: [signing[0]] },
      },
      routes: (origin) => [
        route(origin, 'injected', {
          type: 'upstream_inject',
          upstreamInject: { providerName: 'github' },
        }),
        route(
          origin,
          'bound',
          { type: 'unauthenticated' },
          { session: { bind: true }, identityPropagation: { mode: 'headers', sign: 'jws' } },
        ),
      ],
    });
    vault = await openVault(vaultConfig(`sqlite:${join(stack.folder, 'vault.db')}`, vaultKeys), testTools());
    for (const user of ['alice', 'bob'])
      await vault.create({ issuer: issuer.issuer, subject: user, provider: 'github' }, github.issue(user));
    verifier = createVerifier({
      issuer: stack.origin,
      backend: 'bound',
      resource: url('bound'),
      body: 'required',
      jwksUri: `${stack.origin}/.well-known/mcp-identity/jwks.json`,
      cooldownSeconds: 1,
    });
    const { respond } = stack.backend;
    stack.backend.respond = (seen, response, request) => {
      if (!seen.url.startsWith('/bound')) {
        const token = /^Bearer (.*)$/.exec(seen.headers['authorization'] ?? '')?.[1] ?? '';
        if (github.userOf(token) === undefined) wrong.push('a token that is not good');
        return respond(seen, response, request);
      }
      verifier
        .verify(seen.headers, seen)
        .then(() => kids.add(decodeProtectedHeader(seen.headers[HEADER] as string).kid))
        .catch((error: unknown) => wrong.push(`${seen.headers[HEADER]?.slice(0, 60)}: ${String(error)}`))
        .finally(() => {
          response.setHeader('mcp-session-id', seen.headers['mcp-session-id'] ?? 'of-backend');
          respond(seen, response, request);
        });
    };
  });
  after(async () => {
    await vault?.close();
    await stack?.stop();
    await Promise.all([issuer?.stop(), github?.stop()]);
  });

  /** Users’ tokens of four seconds, sessions that were opened before, assertions that each backend verifies. */
  const start = async (): Promise<Load> => {
    wrong.length = 0;
    const initialize = {
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
    };
    const sessions = await Promise.all(
      ['alice', 'bob'].map(async (sub) => {
        const answer = await rpc(url('bound'), initialize, await bearer('bound', sub));
        assert.equal(answer.status, 200, answer.body);
        return answer.headers['mcp-session-id'] as string;
      }),
    );
    return new Load(4, async (line) => {
      const sub = line % 2 === 0 ? 'alice' : 'bob';
      const [name, headers] =
        line < 2
          ? ['injected', await bearer('injected', sub)]
          : ['bound', [...(await bearer('bound', sub)), 'Mcp-Session-Id', sessions[line % 2] as string]];
      const answer = await rpc(url(name), toolCall('x'), headers);
      return answer.status === 200 ? undefined : `${name} ${answer.status} ${answer.body}`;
    });
  };

  it('vault, session, signing and issuer keys: a new one beside the old, then first, then alone', async () => {
    const load = await start();
    await load.more(50);
    await change((config) => {
      config['vault'].keys = vaultKeys.map(written);
      config['session'].keys = sessionKeys.map(written);
      config['signing'].keys = signing;
    });
    await load.more(50);
    const before = github.refreshes.length;
    await change((config) => {
      config['vault'].keys.reverse();
      config['session'].keys.reverse();
      config['signing'].current.jws = 'a2';
    });
    await issuer.rotate({ keepOld: true });
    // Both grants are refreshed, and sealed with the new key by that.
    while (github.refreshes.length < before + 4) await load.more(5);
    await load.stop();
    assert.deepEqual(wrong, []);
    const sessionsEndWithTheirKey = await start();
    await change((config) => {
      config['vault'].keys.pop();
      config['session'].keys.pop();
      config['signing'].keys = [signing[1]];
    });
    await sessionsEndWithTheirKey.more(100);
    await sessionsEndWithTheirKey.stop();

    assert.deepEqual([...load.failures, ...sessionsEndWithTheirKey.failures], []);
    assert.deepEqual(wrong, []);
    assert.deepEqual([...kids], ['a1', 'a2'], 'both have signed');
    assert.equal(github.reused, 0, 'no refresh token came twice');
    assert.ok(load.calls + sessionsEndWithTheirKey.calls >= 200, `${load.calls}`);
    assert.deepEqual(
      (await listed()).map((one) => one.kind),
      ['grant', 'grant'],
    );
    // Only the new key opens them.
    const alone = await openVault(vaultConfig(`sqlite:${join(stack.folder, 'vault.db')}`, [vaultKeys[1]]), testTools());
    for await (const one of alone.list()) assert.equal(one.kind, 'grant');
    await alone.close();
  });

  it('a refresh that is under way at a change is not lost, and its token is not asked for twice', async () => {
    const load = await start();
    await load.more(10);
    const requests = github.tokenRequests().length;
    const release = github.hold('after');
    await github.arrived(requests + 1);
    const next = written(newKey('v3'));
    await change((config) => {
      config['vault'].keys.push(next);
      config['upstreamProviders'].github.refreshBefore = '1s';
    });
    release();
    await load.more(50);
    const before = github.refreshes.length;
    while (github.refreshes.length < before + 2) await load.more(5);
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.deepEqual(wrong, []);
    assert.equal(github.reused, 0);
    assert.equal((await listed()).length, 2);
  });
});
