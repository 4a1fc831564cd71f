import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { startLegacyBackend } from '../../demo/mcp-legacy.ts';
import { startModernBackend } from '../../demo/mcp-modern.ts';
import type { Running } from '../../demo/web-server.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { connectLegacy, connectModern, type Connect, type SdkClient } from '../support/sdk-clients.ts';
import { type Stack, startStack } from '../support/stack.ts';

const key = (id: string, byte: number) => ({ id, key: Buffer.alloc(32, byte).toString('base64') });
const K1 = key('k1', 1);
const K2 = key('k2', 2);

type Route = 'bound' | 'captured' | 'teardown' | 'modern';

/** Official clients and servers of both generations, two replicas of the service, and what the backends saw. */
describe('sessions with the official SDKs', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const backends: Running[] = [];
  const seen: { readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];
  const clients: SdkClient[] = [];
  /** Written into the config file whenever a replica starts. */
  const config: Record<string, unknown> = {};

  const urlOf = (route: Route) => `${stack.origin}/${route}/mcp`;
  /** A new token for every request: no two are equal, so nothing can hang on one. */
  const bearer = async (route: Route, sub: string, claims: object = {}) => ({
    authorization: `Bearer ${await issuer.token({ aud: urlOf(route), sub, ...claims })}`,
  });
  const open = async (connect: Connect, sub: string, route: Route = 'bound'): Promise<SdkClient> => {
    const client = await connect(urlOf(route), { headers: () => bearer(route, sub) });
    clients.push(client);
    return client;
  };
  /** The ids that the backend itself gave, oldest first. */
  const rawIds = () => [...new Set(seen.flatMap(({ headers }) => headers['mcp-session-id'] ?? []))] as string[];
  /** Nothing of an attempt may reach a backend, and the client hears 404, so that it starts anew. */
  const isUnknown = async (attempt: () => Promise<unknown>, statuses: () => readonly number[]): Promise<void> => {
    // The clients' own GET streams come when they like.
    const calls = () =>
      seen.filter(({ headers, body }) => body.includes('tools/call') || headers['x-user-sub'] === 'mallory').length;
    const before = calls();
    await assert.rejects(attempt());
    assert.equal(statuses().at(-1), 404);
    assert.equal(calls(), before);
  };

  before(async () => {
    issuer = await startIssuer();
    const onRequest = (headers: IncomingHttpHeaders, body: string) => void seen.push({ headers, body });
    backends.push(await startLegacyBackend({ port: 0, onRequest }), await startModernBackend({ port: 0, onRequest }));
    const route = (origin: string, name: Route, session: object) => ({
      prefix: `/${name}/mcp`,
      rewrite: '/mcp',
      port: Number(new URL(backends[name === 'modern' ? 1 : 0]!.url).port),
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp'],
        outgoingAuth: { type: 'claim_injection', claimInjection: { claims: ['sub', 'email'] } },
        passthroughHeaders: ['X-Tenant-Id'],
        session: { bind: true, ...session },
      },
    });
    Object.assign(config, {
      incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
      session: { keys: [K1] },
    });
    stack = await startStack({
      extProc: true,
      replicas: 2,
      config,
      routes: (origin) => [
        route(origin, 'bound', {}),
        route(origin, 'captured', { passthroughCapture: 'session' }),
        route(origin, 'teardown', { identityFallback: 'delete' }),
        route(origin, 'modern', {}),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await Promise.all(backends.map((backend) => backend.stop()));
    await issuer?.stop();
  });
  beforeEach(() => {
    seen.length = 0;
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
  });

  for (const [sdk, connect] of [
    ['1.x', connectLegacy],
    ['2.x', connectModern('legacy')],
  ] as const) {
    describe(`client of SDK ${sdk}, server of SDK 1.x`, () => {
      it('two users at once: each has a session of its own, and is itself in it, on either replica', async () => {
        const alice = await open(connect, 'alice');
        const bob = await open(connect, 'bob');
        const decidedBefore = stack.services.map((service) => service.stdout.length);
        for (let i = 0; i < 4; i++) {
          const [toAlice, toBob] = await Promise.all([alice.call('whoami'), bob.call('whoami')]);
          assert.match(toAlice, /^x-user-sub: alice$/m);
          assert.match(toBob, /^x-user-sub: bob$/m);
        }
        assert.notEqual(alice.sessionId(), bob.sessionId());
        assert.equal(rawIds().length, 2);
        assert.ok(rawIds().every((raw) => raw !== alice.sessionId() && raw !== bob.sessionId()));
        for (const [i, service] of stack.services.entries())
          await service.until(() => service.stdout.length > decidedBefore[i]!);
      });

      it('a stolen id, and the backend’s own id, are unknown to everybody else (R8)', async () => {
        const alice = await open(connect, 'alice');
        await alice.call('whoami');
        const [raw] = rawIds() as [string];
        for (const sessionId of [alice.sessionId()!, raw]) {
          for (const version of [undefined, '2026-07-28']) {
            const thief = await connect(urlOf('bound'), {
              sessionId,
              headers: async () => ({
                ...(await bearer('bound', 'mallory')),
                ...(version
                  ? { 'mcp-protocol-version': version, 'mcp-method': 'tools/call', 'mcp-name': 'whoami' }
                  : {}),
              }),
            });
            clients.push(thief);
            await isUnknown(
              () => thief.call('whoami'),
              () => thief.statuses,
            );
            await isUnknown(
              () => thief.terminate(),
              () => thief.statuses,
            );
          }
        }
        assert.match(await alice.call('whoami'), /^x-user-sub: alice$/m, 'the session itself is unharmed');
      });

      it('the raw id does not help its own user either', async () => {
        await (await open(connect, 'alice')).call('whoami');
        const [sessionId] = rawIds() as [string];
        const client = await connect(urlOf('bound'), { sessionId, headers: () => bearer('bound', 'alice') });
        clients.push(client);
        await isUnknown(
          () => client.call('whoami'),
          () => client.statuses,
        );
      });

      it('a renewed token goes on in the same session, and its fresh claims arrive (R8, R14)', async () => {
        let token = await issuer.token({ aud: urlOf('bound'), sub: 'alice', email: 'old@example.com' });
        const client = await connect(urlOf('bound'), { headers: async () => ({ authorization: `Bearer ${token}` }) });
        clients.push(client);
        const id = client.sessionId();
        assert.match(await client.call('whoami'), /^x-user-email: old@example\.com$/m);
        token = await issuer.token({ aud: urlOf('bound'), sub: 'alice', email: 'new@example.com' });
        assert.match(await client.call('whoami'), /^x-user-email: new@example\.com$/m);
        assert.equal(client.sessionId(), id);
        assert.equal(rawIds().length, 1);
        token = await issuer.token({ aud: urlOf('bound'), sub: 'alice', exp: 1 });
        await assert.rejects(client.call('whoami'));
        assert.equal(client.statuses.at(-1), 401, 'a session is no authentication');
      });

      it('the second call with another passthrough value still delivers the first (R10)', async () => {
        let tenant: string | undefined = 'first';
        const client = await connect(urlOf('captured'), {
          headers: async () => ({ ...(await bearer('captured', 'alice')), 'x-tenant-id': tenant }),
        });
        clients.push(client);
        assert.match(await client.call('whoami'), /^x-tenant-id: first$/m);
        tenant = 'second';
        assert.match(await client.call('whoami'), /^x-tenant-id: first$/m);
        tenant = undefined;
        assert.match(await client.call('whoami'), /^x-tenant-id: first$/m);
        assert.ok(!client.sessionId()!.includes('first'));
      });

      it('teardown: the client’s DELETE ends the backend’s session', async () => {
        const client = await open(connect, 'alice');
        const id = client.sessionId()!;
        await client.terminate();
        const back = await connect(urlOf('bound'), { sessionId: id, headers: () => bearer('bound', 'alice') });
        clients.push(back);
        await assert.rejects(back.call('whoami'));
        assert.equal(back.statuses.at(-1), 404);
        assert.match(seen.at(-1)!.headers['mcp-session-id'] as string, /^[0-9a-f-]{36}$/, 'said by the backend');
      });

      it('teardown without a credential: done for the session’s user with identityFallback, refused without (R14)', async () => {
        for (const [route, status] of [
          ['teardown', 200],
          ['bound', 401],
        ] as const) {
          let signedIn = true;
          const client = await connect(urlOf(route), {
            headers: async () => (signedIn ? bearer(route, 'alice') : { authorization: undefined }),
          });
          clients.push(client);
          await client.call('whoami');
          signedIn = false;
          await assert.rejects(client.call('whoami'), 'only a DELETE may');
          seen.length = 0;
          if (status === 200) await client.terminate();
          else await assert.rejects(client.terminate());
          assert.equal(client.statuses.at(-1), status);
          assert.deepEqual(
            seen.map(({ headers }) => headers['x-user-sub']),
            status === 200 ? ['alice'] : [],
          );
        }
      });
    });
  }

  describe('client and server of SDK 2.x, revision 2026-07-28', () => {
    const connect = connectModern({ pin: '2026-07-28' });

    it('two users at once, each itself, without any session', async () => {
      const alice = await open(connect, 'alice', 'modern');
      const bob = await open(connect, 'bob', 'modern');
      for (let i = 0; i < 4; i++) {
        const [toAlice, toBob] = await Promise.all([alice.call('whoami'), bob.call('whoami')]);
        assert.match(toAlice, /^x-user-sub: alice$/m);
        assert.match(toBob, /^x-user-sub: bob$/m);
      }
      assert.deepEqual(rawIds(), []);
    });

    it('a session id sent along is judged all the same', async () => {
      const alice = await open(connectLegacy, 'alice');
      await alice.call('whoami');
      for (const id of [alice.sessionId()!, rawIds()[0]!]) {
        for (const route of ['bound', 'modern'] as const) {
          const statuses: number[] = [];
          const thief = () =>
            connect(urlOf(route), {
              statuses,
              headers: async () => ({ ...(await bearer(route, 'mallory')), 'mcp-session-id': id }),
            });
          await isUnknown(thief, () => statuses);
        }
      }
    });
  });

  describe('service processes come and go', () => {
    const restart = async (index: number) => {
      await stack.services[index]!.stop('SIGTERM');
      await stack.restartService(index);
      await bothDecide();
    };
    /**
     * Envoy has found every replica again; calls without a token do for that. Two at once: one after the other, Check
     * and Process of each would take turns, and one replica would never decide.
     */
    const bothDecide = async (): Promise<void> => {
      const lengths = () => stack.services.map((service) => service.stdout.length);
      const before = lengths();
      const deadline = Date.now() + 15_000;
      for (;;) {
        await Promise.all([0, 1].map(async () => (await fetch(urlOf('bound'), { method: 'POST' })).text()));
        if (lengths().every((length, i) => length > before[i]!)) return;
        assert.ok(Date.now() < deadline, 'Envoy does not use both replicas');
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const worksOn = async (client: SdkClient): Promise<void> => {
      for (let i = 0; i < 3; i++)
        for (const text of await Promise.all([client.call('whoami'), client.call('whoami')]))
          assert.match(text, /^x-user-sub: alice$/m);
    };

    it('a session outlives every replica it has seen', async () => {
      const client = await open(connectLegacy, 'alice');
      const id = client.sessionId();
      await restart(0);
      await worksOn(client);
      await restart(1);
      await worksOn(client);
      assert.equal(client.sessionId(), id);
    });

    it('keys rotate in three rolling steps: the first seals, all open, and a withdrawn one opens nothing', async () => {
      const everywhere = async (keys: readonly object[], between: () => Promise<void>) => {
        config['session'] = { keys };
        for (const index of [0, 1]) {
          await restart(index);
          await between();
        }
      };
      const old = await open(connectLegacy, 'alice');
      await everywhere([K1, K2], () => worksOn(old));
      const betweenTimes = await open(connectLegacy, 'alice');
      await everywhere([K2, K1], () => worksOn(old));
      const fresh = await open(connectLegacy, 'alice');
      await worksOn(betweenTimes);
      await everywhere([K2], () => worksOn(fresh));
      await isUnknown(
        () => old.call('whoami'),
        () => old.statuses,
      );
      await isUnknown(
        () => betweenTimes.call('whoami'),
        () => betweenTimes.statuses,
      );
    });

    it('a session older than maxAge is unknown', async () => {
      const client = await open(connectLegacy, 'alice');
      await worksOn(client);
      config['session'] = { keys: [K2], maxAge: '1ms' };
      for (const index of [0, 1]) await restart(index);
      await isUnknown(
        () => client.call('whoami'),
        () => client.statuses,
      );
    });
  });
});
