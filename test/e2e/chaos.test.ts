import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { openVault } from '../../src/upstream/vault/open.ts';
import { type Answer, rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { Load } from '../support/reconfigure.ts';
import { DURABLE, type RedisServer, startRedis } from '../support/redis.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { testTools, vaultConfig } from '../support/vault-tools.ts';

const KEY = { id: 'k1', bytes: randomBytes(32) };
const USERS = Array.from({ length: 8 }, (_, i) => `user-${i}`);

/** What `npm run soak` does for minutes (docs/operations/soak.md), once and short: the cases that no other test has. */
describe('chaos behind one Envoy with two replicas', { timeout: 120_000 }, () => {
  let redis: RedisServer;
  let issuer: FakeIssuer;
  let github: FakeProvider;
  let stack: Stack;

  before(async () => {
    [redis, issuer, github] = await Promise.all([startRedis({ settings: DURABLE }), startIssuer(), startProvider()]);
    const vault = await openVault(vaultConfig(redis.url, [KEY]), testTools());
    for (const subject of USERS)
      await vault.create({ issuer: issuer.issuer, subject, provider: 'github' }, github.issue(subject));
    await vault.close();
    const route = (origin: string, name: string, outgoingAuth: object) => ({
      prefix: `/${name}/mcp`,
      policy: { backend: name, resource: `${origin}/${name}/mcp`, incomingAuth: ['corp'], outgoingAuth },
    });
    stack = await startStack({
      extProc: true,
      replicas: 2,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
        upstreamProviders: { github: { issuer: github.issuer, clientId: 'c', clientSecret: 's' } },
        vault: { store: redis.url, keys: [{ id: KEY.id, key: KEY.bytes.toString('base64') }] },
        connect: { login: { issuer: issuer.issuer, clientId: 'login', clientSecret: 's' } },
      },
      routes: (origin) => [
        route(origin, 'claims', { type: 'claim_injection' }),
        route(origin, 'github', { type: 'upstream_inject', upstreamInject: { providerName: 'github' } }),
      ],
    });
    stack.backend.respond = (seen, response) => {
      const { authorization = '', 'x-user-sub': sub } = seen.headers;
      const user = sub ?? github.userOf(authorization.replace('Bearer ', ''));
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { user } }));
    };
  });
  after(async () => {
    redis?.resume();
    await stack?.stop();
    await Promise.all([issuer?.stop(), github?.stop(), redis?.dispose()]);
  });

  const call = async (name: string, sub: string): Promise<Answer> => {
    const url = `${stack.origin}/${name}/mcp`;
    const answer = await rpc(url, toolCall('x'), ['Authorization', `Bearer ${await issuer.token({ aud: url, sub })}`]);
    if (answer.status === 200) assert.equal(answer.json().result.user, sub);
    return answer;
  };
  /** Calls until one is served. */
  const served = async (name: string, sub: string): Promise<void> => {
    for (const endMs = Date.now() + 30_000; ; ) {
      const { status, body } = await call(name, sub);
      if (status === 200) return;
      assert.ok(status === 503 && Date.now() < endMs, `${status} ${body}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };

  it('Redis hangs: who needs it gets 503 with Retry-After, everybody else is served, and all is well when it goes on', async () => {
    redis.pause();
    const others = new Load(2, async (line) => {
      const { status, body } = await call('claims', `caller-${line}`);
      return status === 200 ? undefined : `${status} ${body}`;
    });
    const answers = await Promise.all(USERS.map((user) => call('github', user)));
    await others.more(20);
    redis.resume();
    await others.stop();
    for (const { status, headers, body } of answers) {
      assert.equal(status, 503, body);
      assert.ok(Number(headers['retry-after']) >= 1);
      assert.equal(JSON.parse(body).error.data.error, 'temporarily_unavailable');
    }
    assert.deepEqual(others.failures, []);
    for (const user of USERS) await served('github', user);
    assert.equal(github.reused, 0);
  });

  it('SIGKILL for one of two replicas: nothing but 5xx for the calls it had, then the other serves all', async () => {
    const statuses = new Set<number>();
    const load = new Load(4, async (line) => {
      statuses.add((await call(line % 2 === 0 ? 'claims' : 'github', USERS[line] as string)).status);
      return undefined;
    });
    await load.more(50);
    await stack.services[1]!.stop('SIGKILL');
    const flags = `127.0.0.1:${stack.grpcPorts[1]}::health_flags::/failed_active_hc`;
    while (!(await send(`${stack.envoyAdmin}/clusters`)).body.includes(flags)) await load.more(1);
    await load.more(50);
    await load.stop();
    // 500: Envoy had asked it about the response already.
    for (const status of statuses) assert.ok([200, 500, 503].includes(status), `${status}`);
    const alone = new Load(4, async (line) => {
      const { status, body } = await call('github', USERS[line] as string);
      return status === 200 ? undefined : `${status} ${body}`;
    });
    await alone.more(100);
    await stack.restartService(1);
    await stack.services[1]!.until(() => stack.services[1]!.stdout.includes('"event":"decision"'));
    await alone.stop();
    assert.deepEqual(alone.failures, []);
  });
});
