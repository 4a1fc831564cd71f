import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Answer, rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { applied, editConfig, Load, replaceFile, said } from '../support/reconfigure.ts';
import { type Stack, startStack } from '../support/stack.ts';

const REJECTED = '"message":"the new configuration is rejected; the one before goes on"';
/** bcrypt of "right". */
const HASH = '$2b$04$m73EYjD1eGyvmOwCe7VePORe52VQIsGSeo9hB.EfOMGSCBOTK0r36';

describe('the configuration changes while the service runs', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  let secrets: string;
  const url = (name: string) => `${stack.origin}/${name}/mcp`;
  const bearer = async (name: string, claims: Record<string, unknown> = {}) => [
    'Authorization',
    `Bearer ${await issuer.token({ aud: url(name), sub: 'alice', ...claims })}`,
  ];
  const setKey = (text: string) => replaceFile(join(secrets, 'backend-key'), `${text}\n`);
  const keyOf = (id: string) =>
    stack.backend.seen.find((one) => one.body.includes(`"id":"${id}"`))?.headers['x-backend-key'];
  const metric = async (series: string): Promise<number | undefined> => {
    const line = (await stack.metrics()).split('\n').find((one) => one.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  };
  const guess = (user: string, password: string): Promise<Answer> => {
    const credentials = Buffer.from(`${user}:${password}`).toString('base64');
    return rpc(url('basic'), toolCall('x'), ['Authorization', `Basic ${credentials}`]);
  };

  before(async () => {
    issuer = await startIssuer();
    secrets = mkdtempSync(join(tmpdir(), 'emi-secrets-'));
    setKey('first');
    const injection = { type: 'header_injection', headerInjection: { headerName: 'x-backend-key', secret: 'backend' } };
    const route = (origin: string, name: string, incomingAuth: string[], outgoingAuth: object, more: object = {}) => ({
      prefix: `/${name}/mcp`,
      policy: { backend: name, resource: `${origin}/${name}/mcp`, incomingAuth, outgoingAuth, ...more },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: {
          corp: { type: 'jwt', issuer: issuer.issuer },
          legacy: { type: 'basic', users: [{ username: 'bob', passwordHash: HASH, subject: 'bob' }] },
        },
        secrets: { backend: { file: join(secrets, 'backend-key') } },
        session: { keys: [{ id: 'k1', key: Buffer.alloc(32, 1).toString('base64') }] },
      },
      routes: (origin) => [
        route(origin, 'plain', ['corp'], injection),
        route(origin, 'bound', ['corp'], injection, { session: { bind: true } }),
        route(origin, 'basic', ['legacy'], { type: 'unauthenticated' }),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
    rmSync(secrets, { recursive: true, force: true });
  });

  it('a secret in a file is another one: it is used, and no call fails', async () => {
    const headers = await bearer('plain');
    const load = new Load(4, async () => {
      const answer = await rpc(url('plain'), toolCall('x'), headers);
      return answer.status === 200 ? undefined : `${answer.status} ${answer.body}`;
    });
    await load.more(50);
    for (const key of ['second', 'third']) {
      await applied(stack, () => setKey(key));
      await load.more(50);
      assert.equal(stack.backend.last().headers['x-backend-key'], key);
    }
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.ok(load.calls >= 150, `${load.calls} calls`);
  });

  it('calls that are under way end on the configuration they began on, however long they take', async () => {
    const old = await bearer('plain');
    const load = new Load(2, async () => {
      const answer = await rpc(url('plain'), toolCall('x'), old);
      return answer.status === 200 ? undefined : `${answer.status} ${answer.body}`;
    });
    await load.more(10);
    // One waits in Check for the keys of the issuer, one for its backend, with its ext_proc stream open.
    const { respond } = stack.backend;
    const asked = new Promise<() => void>((resolve) => {
      stack.backend.respond = (seen, response, request) => {
        if (!seen.url.startsWith('/bound')) return respond(seen, response, request);
        stack.backend.respond = respond;
        resolve(() => response.writeHead(200, { 'mcp-session-id': 'of-backend' }).end('{}'));
      };
    });
    const inBackend = rpc(url('bound'), toolCall('x', 'in-backend'), await bearer('bound'));
    const answerBackend = await asked;
    await issuer.rotate({ keepOld: true });
    const fetches = issuer.requests.jwks;
    const release = issuer.hold();
    const inCheck = rpc(url('plain'), toolCall('x', 'in-check'), await bearer('plain'));
    while (issuer.requests.jwks === fetches) await new Promise((resolve) => setImmediate(resolve));

    await applied(stack, () => {
      setKey('fourth');
      editConfig(stack, (config) => {
        config['session'].keys = [{ id: 'k2', key: Buffer.alloc(32, 2).toString('base64') }];
      });
    });
    assert.equal(await metric('mcp_identity_config_former_generations'), 1, 'two calls are still on the one before');
    await load.more(10);
    assert.equal(stack.backend.last().headers['x-backend-key'], 'fourth');
    release();
    answerBackend();
    const [checked, answered] = await Promise.all([inCheck, inBackend]);
    assert.equal(checked.status, 200, checked.body);
    assert.equal(keyOf('in-check'), 'third');
    assert.equal(answered.status, 200, answered.body);
    const session = answered.headers['mcp-session-id'] as string;
    assert.notEqual(session, 'of-backend', 'the stream that was open has sealed it');
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.equal(await metric('mcp_identity_config_former_generations'), 0, 'and then it is closed');
  });

  it('a wrong configuration is rejected with all its problems; the one before goes on, and log, metrics and readyz say so', async () => {
    const service = stack.services[0]!;
    const headers = await bearer('plain');
    const load = new Load(2, async () => {
      const answer = await rpc(url('plain'), toolCall('x'), headers);
      return answer.status === 200 ? undefined : `${answer.status} ${answer.body}`;
    });
    const good = readFileSync(join(stack.folder, 'sidecar-0.yaml'), 'utf8');
    const logged = service.stderr.length;
    await said(stack, REJECTED, () =>
      editConfig(stack, (config) => {
        config['publicUrl'] = 'ftp://x';
        config['incomingAuth'].corp.isuer = 'x';
        config['signing'] = { keys: [{ id: 'h1', alg: 'HS256', secret: 'too short' }] };
      }),
    );
    const text = service.stderr.slice(logged);
    for (const part of ['publicUrl', 'isuer', '"code":"SCHEMA"', '"mend":']) assert.ok(text.includes(part), text);
    assert.ok(!text.includes('too short'));
    assert.equal(await metric('mcp_identity_config_stale'), 1);
    assert.equal(await metric('mcp_identity_config_reloads_total{outcome="rejected"}'), 1);
    const ready = await send(`${stack.adminUrl}/readyz`);
    assert.equal(ready.status, 200);
    assert.equal(ready.json().configuration.onDisk, 'rejected');
    assert.ok(ready.json().configuration.problems >= 2);

    // A method that routes name has gone: only the bootstrap knows.
    await said(stack, REJECTED, () =>
      replaceFile(join(stack.folder, 'sidecar-0.yaml'), good.replaceAll('"corp"', '"corporate"')),
    );
    assert.match(service.stderr.slice(logged), /V-12/);
    await load.more(20);

    await said(stack, '"message":"the configuration on disk is the one in use"', () =>
      replaceFile(join(stack.folder, 'sidecar-0.yaml'), good),
    );
    assert.equal(await metric('mcp_identity_config_stale'), 0);
    assert.deepEqual((await send(`${stack.adminUrl}/readyz`)).json(), { status: 'ok' });
    await load.stop();
    assert.deepEqual(load.failures, []);
  });

  it('what needs a restart is named, key by key, and nothing else of that configuration is taken', async () => {
    const service = stack.services[0]!;
    const logged = service.stderr.length;
    const good = readFileSync(join(stack.folder, 'sidecar-0.yaml'), 'utf8');
    const headers = await bearer('plain');
    await said(stack, REJECTED, () =>
      editConfig(stack, (config) => {
        config['server'].http = '127.0.0.1:1';
        config['server'].grpcTransport = 'grpc-js';
        config['audit'] = { destination: 'file:./audit.jsonl' };
        config['limits'] = { maxBody: '8MiB' };
        config['secrets'].backend = 'fifth';
      }),
    );
    const named = [...service.stderr.slice(logged).matchAll(/"code":"RESTART".*?"path":"([^"]+)"/g)].map(
      ([, path]) => path,
    );
    assert.deepEqual(named, ['server.http', 'server.grpcTransport', 'audit.destination', 'limits.maxBody']);
    assert.equal((await rpc(url('plain'), toolCall('x'), headers)).status, 200);
    assert.equal(stack.backend.last().headers['x-backend-key'], 'fourth');
    await said(stack, 'is the one in use', () => replaceFile(join(stack.folder, 'sidecar-0.yaml'), good));
  });

  it('SIGHUP reads the files at once; files that say the same change nothing', async () => {
    const unchanged = async () => metric('mcp_identity_config_reloads_total{outcome="unchanged"}');
    const before = (await unchanged()) ?? 0;
    const generations = await metric('mcp_identity_config_generation');
    await said(stack, '"why":"SIGHUP"', () => stack.services[0]!.process.kill('SIGHUP'));
    assert.equal(await unchanged(), before + 1);
    assert.equal(await metric('mcp_identity_config_generation'), generations);
  });

  it('a file that is written slowly is not taken half', async () => {
    const file = join(stack.folder, 'sidecar-0.yaml');
    const config = JSON.parse(readFileSync(file, 'utf8'));
    config.secrets.backend = 'sixth';
    // Complete YAML at every line, and without its end a configuration that works and forgets a method.
    const lines = ['publicUrl', 'server', 'envoy', 'session', 'secrets', 'incomingAuth'].map(
      (key) => `${key}: ${JSON.stringify(config[key])}\n`,
    );
    const rejected = await metric('mcp_identity_config_reloads_total{outcome="rejected"}');
    const headers = await bearer('plain');
    await applied(stack, () => {
      void (async () => {
        for (let i = 1; i <= lines.length; i++) {
          writeFileSync(file, lines.slice(0, i).join(''));
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      })();
    });
    assert.equal(await metric('mcp_identity_config_reloads_total{outcome="rejected"}'), rejected);
    assert.equal((await rpc(url('plain'), toolCall('x'), headers)).status, 200);
    assert.equal(stack.backend.last().headers['x-backend-key'], 'sixth');
    await applied(stack, () => replaceFile(file, JSON.stringify({ ...config, secrets: { backend: 'seventh' } })));
  });

  it('a token that was verified under other rules is verified anew', async () => {
    const headers = await bearer('plain', { groups: ['staff'] });
    assert.equal((await rpc(url('plain'), toolCall('x'), headers)).status, 200);
    await applied(stack, () =>
      editConfig(stack, (config) => {
        config['incomingAuth'].corp.requiredClaims = { groups: ['admins'] };
      }),
    );
    assert.equal((await rpc(url('plain'), toolCall('x'), headers)).status, 401);
    await applied(stack, () => editConfig(stack, (config) => delete config['incomingAuth'].corp.requiredClaims));
    assert.equal((await rpc(url('plain'), toolCall('x'), headers)).status, 200);
  });

  it('the keys of an issuer that is down stay known when its method changes', async () => {
    issuer.trouble = { status: 500 };
    await applied(stack, () =>
      editConfig(stack, (config) => {
        config['incomingAuth'].corp.clockSkew = '7s';
      }),
    );
    const answer = await rpc(url('plain'), toolCall('x'), await bearer('plain'));
    issuer.trouble = undefined;
    assert.equal(answer.status, 200, answer.body);
  });

  it('guesses at a password stay counted when a user is added', async () => {
    let answer = await guess('bob', 'wrong-0');
    for (let i = 1; answer.status === 401 && i < 30; i++) answer = await guess('bob', `wrong-${i}`);
    assert.equal(answer.status, 429, 'the throttle holds');
    await applied(stack, () =>
      editConfig(stack, (config) => {
        config['incomingAuth'].legacy.users.push({ username: 'carol', passwordHash: HASH, subject: 'carol' });
      }),
    );
    assert.equal((await guess('bob', 'another')).status, 429);
    assert.equal((await guess('carol', 'right')).status, 200);
  });

  it('another bootstrap: its routes are validated, and what clients read about them is there', async () => {
    const document = () => send(`${stack.origin}/.well-known/oauth-protected-resource/extra/mcp`);
    assert.equal((await document()).status, 404);
    const file = join(stack.folder, 'envoy.json');
    const good = readFileSync(file, 'utf8');
    await said(stack, REJECTED, () => replaceFile(file, good.replaceAll('"corp"', '"nobody"')));
    await applied(stack, () => replaceFile(file, good.replaceAll('plain', 'extra')));
    assert.equal((await document()).status, 200);
    await applied(stack, () => replaceFile(file, good));
  });
});
