import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { Secret } from '../../../src/core/secret.ts';
import { openVault } from '../../../src/upstream/vault/open.ts';
import { envoyConfig } from '../../support/envoy-config.ts';
import { explained, runExplain } from '../../support/explain.ts';
import { type FakeIssuer, startIssuer } from '../../support/issuer.ts';

const ORIGIN = 'http://127.0.0.1:10000';
const BODY = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"}}';
const UPSTREAM = 'the-token-of-alice-at-github';
const CLIENT_SECRET = 'the-secret-of-our-client';
const KEY = { id: 'k', key: Buffer.alloc(32, 9).toString('base64') };
const silent = { debug() {}, info() {}, warn() {}, error() {} };

describe('explain', () => {
  const folder = mkdtempSync(join(tmpdir(), 'emi-explain-'));
  const file = (name: string) => join(folder, name);
  const put = (name: string, content: unknown) => {
    writeFileSync(file(name), typeof content === 'string' ? content : JSON.stringify(content));
    return file(name);
  };
  let issuer: FakeIssuer;
  let token: string;
  const base = () => ['--config', file('sidecar.yaml')];
  const post = (path: string, ...more: string[]) => [
    ...base(),
    '-H',
    'content-type: application/json',
    '-d',
    BODY,
    ...more,
    `${ORIGIN}${path}`,
  ];
  const as = (claims: Record<string, unknown> = {}) =>
    issuer.token({
      aud: ['hr', 'github', 'aws', 'plain'].map((name) => `${ORIGIN}/${name}/mcp`),
      sub: 'alice',
      ...claims,
    });

  before(async () => {
    issuer = await startIssuer();
    token = await as();
    const policy = (backend: string, outgoingAuth: object) => ({
      prefix: `/${backend}/mcp`,
      policy: { backend, resource: `${ORIGIN}/${backend}/mcp`, incomingAuth: ['corp'], outgoingAuth },
    });
    const ports = { listen: 10000, admin: 10001, backend: 10002, grpc: [9191], http: 9192 };
    put(
      'envoy.json',
      envoyConfig(
        ports,
        [
          policy('plain', { type: 'claim_injection' }),
          policy('hr', { type: 'token_exchange', tokenExchange: { exchange: 'hr', audience: 'hr' } }),
          policy('github', {
            type: 'upstream_inject',
            upstreamInject: { providerName: 'github', unconnected: 'deny' },
          }),
          policy('aws', {
            type: 'aws_sts',
            awsSts: {
              region: 'eu-west-1',
              service: 's3',
              host: 's3.eu-west-1.amazonaws.com',
              roleMappings: [
                { claim: 'sub', value: 'alice', roleArn: 'arn:aws:iam::123456789012:role/reader', priority: 1 },
              ],
            },
          }),
        ],
        { extProc: true },
      ),
    );
    put('sidecar.yaml', {
      publicUrl: ORIGIN,
      envoy: { bootstrap: './envoy.json' },
      incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
      upstreamProviders: {
        github: {
          authorizationEndpoint: 'https://github.example.com/a',
          tokenEndpoint: 'https://github.example.com/t',
          clientId: 'c',
          clientSecret: CLIENT_SECRET,
        },
      },
      tokenExchanges: {
        hr: { tokenEndpoint: 'https://hr.example.com/token', clientId: 'c', clientSecret: CLIENT_SECRET },
      },
      connect: { login: { issuer: issuer.issuer, clientId: 'c', clientSecret: CLIENT_SECRET } },
      session: { keys: [KEY] },
      vault: { store: 'sqlite:./vault.db', keys: [KEY] },
    });
    put('token', `${token}\n`);
    put('jwks.json', { keys: issuer.jwks() });
  });
  after(async () => {
    await issuer?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const unseen = (text: string) => {
    for (const part of [token, ...token.split('.').slice(1), CLIENT_SECRET, UPSTREAM, KEY.key])
      assert.ok(!text.includes(part), 'a secret is printed');
  };

  test('help', async () => {
    const { code, stdout } = await runExplain(['--help']);
    assert.equal(code, 0);
    assert.match(stdout, /--offline/);
  });

  test('0: hop by hop, the answer last; the token comes from a file or the environment and is not printed', async () => {
    const { code, stdout } = await runExplain(post('/plain/mcp', '--token-file', file('token')));
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^POST http:\/\/127\.0\.0\.1:10000\/plain\/mcp\nas of /);
    for (const line of [
      '✓ /plain/mcp* of the virtual host',
      'ext_authz on, ext_proc on',
      'backend plain, accepts corp',
      '✓ corp (jwt): signature',
      '✓ corp (jwt): the caller is who they say',
      '✓ corp (jwt): audience',
      'set     x-user-sub: alice',
      '"reason":"ok"',
    ])
      assert.ok(stdout.includes(line), `${line}\n${stdout}`);
    assert.match(stdout, /\n\nALLOWED: every check passed\n$/);
    unseen(stdout);
    const env = await runExplain(post('/plain/mcp', '--token-env', 'T'), { T: token });
    assert.equal(env.code, 0);
    unseen(env.stdout);
  });

  test('1: a refusal with what the client hears, its cause and its mend', async () => {
    const { code, stdout } = await runExplain(
      post('/plain/mcp', '-H', `Authorization: Bearer ${await as({ aud: 'https://other' })}`),
    );
    assert.equal(code, 1);
    assert.match(
      stdout,
      /✗ corp \(jwt\): audience — .*aud must hold http:\/\/127\.0\.0\.1:10000\/plain\/mcp; aud is https:\/\/other/,
    );
    assert.match(stdout, /www-authenticate: Bearer error="invalid_token"/);
    assert.match(stdout, /\nREFUSED 401 token_audience: .*\n {2}cause: .*\n {2}mend: .*\n$/);
  });

  test('--at: as of another time', async () => {
    const { code, json } = await explained(
      post('/plain/mcp', '--token-file', file('token'), '--at', '2100-01-01T00:00:00Z'),
    );
    assert.deepEqual([code, json.answer?.reason, json.at], [1, 'token_expired', '2100-01-01T00:00:00.000Z']);
  });

  test('--offline asks nobody: with keys it judges, without it never allows, and refuses what is wrong all the same', async () => {
    const before = { ...issuer.requests };
    const offline = (...more: string[]) => explained(post('/plain/mcp', '--offline', ...more));
    const withKeys = await offline('--jwks', file('jwks.json'), '--token-file', file('token'));
    assert.deepEqual([withKeys.code, withKeys.json.verdict], [0, 'allow']);
    const forged = await offline(
      '--jwks',
      file('jwks.json'),
      '-H',
      `Authorization: Bearer ${await issuer.forged({ aud: `${ORIGIN}/plain/mcp` })}`,
    );
    assert.deepEqual([forged.code, forged.json.answer?.reason], [1, 'token_signature']);
    const without = await offline('--token-file', file('token'));
    assert.deepEqual([without.code, without.json.verdict], [3, 'unknown']);
    assert.match(without.json.because, /not checked: there are no keys/);
    unseen(without.stdout);
    const foreign = await offline('-H', `Authorization: Bearer ${await as({ aud: 'https://other' })}`);
    assert.deepEqual([foreign.code, foreign.json.answer?.reason], [1, 'token_audience']);
    assert.deepEqual(issuer.requests, before);
  });

  test('an identity provider that is away: cannot be told', async () => {
    issuer.trouble = 'hang-up';
    try {
      const { code, json } = await explained(post('/plain/mcp', '--token-file', file('token')));
      assert.deepEqual([code, json.answer?.status, json.answer?.reason], [3, 503, 'issuer_unavailable']);
    } finally {
      issuer.trouble = undefined;
    }
  });

  test('nothing is exchanged, assumed or refreshed: it says that it would, and what the backend gets then', async () => {
    for (const [path, says, header] of [
      ['/hr/mcp', /would exchange the token at https:\/\/hr\.example\.com\/token/, 'authorization'],
      [
        '/aws/mcp',
        /would assume arn:aws:iam::123456789012:role\/reader at https:\/\/sts\.eu-west-1\.amazonaws\.com/,
        ':authority',
      ],
      ['/github/mcp', /the account at github was not looked up/, 'authorization'],
    ] as const) {
      const { code, json, stdout } = await explained(post(path, '--token-file', file('token')));
      assert.deepEqual([code, json.verdict], [3, 'unknown'], stdout);
      assert.match(json.because, says);
      const written = json.forwarded!.set.find(({ name }) => name === header);
      assert.equal(written?.value, header === ':authority' ? 's3.eu-west-1.amazonaws.com' : undefined);
      unseen(stdout);
    }
    const bob = `Authorization: Bearer ${await as({ sub: 'bob' })}`;
    assert.equal((await explained(post('/aws/mcp', '-H', bob))).json.answer?.reason, 'role_not_mapped');
  });

  test('--vault reads, and makes nothing', async () => {
    const vaultFlags = ['--vault', '--token-file', file('token')];
    assert.match((await runExplain(post('/github/mcp', ...vaultFlags))).stderr, /vault\.db cannot be read/);
    assert.ok(!readdirSync(folder).includes('vault.db'));

    const tools = { log: silent, metrics: createMetrics(), clock: { nowMs: Date.now } };
    const vault = await openVault(
      { store: `sqlite:${file('vault.db')}`, keys: [{ id: 'k', key: new Secret(KEY.key) as never }] },
      tools,
    );
    assert.equal((await explained(post('/github/mcp', ...vaultFlags))).json.answer?.reason, 'account_missing');
    const nowMs = Date.now();
    const content = {
      accessToken: new Secret(UPSTREAM),
      refreshToken: new Secret('refresh-me'),
      tokenType: 'Bearer',
      scopes: [],
      requestedScopes: [],
      issuedAtMs: nowMs,
      connectedAtMs: nowMs,
      expiresAtMs: nowMs + 3_600_000,
    };
    const key = { issuer: issuer.issuer, subject: 'alice', provider: 'github' };
    const { generation } = await vault.create(key, content);
    const good = await explained(post('/github/mcp', ...vaultFlags));
    assert.deepEqual([good.code, good.json.verdict], [0, 'allow'], good.stdout);
    unseen(good.stdout);
    const later = new Date(nowMs + 2 * 3_600_000).toISOString();
    const stale = await explained(
      post(
        '/github/mcp',
        '--vault',
        '--offline',
        '--jwks',
        file('jwks.json'),
        '--at',
        later,
        '-H',
        `Authorization: Bearer ${await as({ exp: 4_102_444_800 })}`,
      ),
    );
    assert.deepEqual([stale.code, stale.json.verdict], [3, 'unknown']);
    assert.match(stale.json.because, /would refresh the token at github/);
    assert.equal((await vault.read(key))?.generation, generation);
    await vault.close();
    assert.ok(statSync(file('vault.db')).size > 0);
    const files = readdirSync(folder);
    const stopped = await explained(post('/github/mcp', ...vaultFlags));
    assert.deepEqual([stopped.code, stopped.json.verdict], [0, 'allow'], stopped.stdout);
    assert.deepEqual(readdirSync(folder), files); // a -wal of another user keeps the service from writing
    put('vault.db-wal', 'what was written last');
    assert.match((await runExplain(post('/github/mcp', ...vaultFlags))).stderr, /start the service first/);
  });

  test('routes: named ones, Envoy’s own answers, paths that cannot be judged', async () => {
    const token = ['--token-file', file('token')];
    assert.equal((await explained(post('/nothing', ...token))).json.answer?.status, 404);
    const doubt = await explained(post('/x/../plain/mcp', ...token));
    assert.deepEqual([doubt.code, doubt.json.verdict], [3, 'unknown']);
    assert.equal((await explained(post('/x/../plain/mcp', ...token, '--backend', 'plain'))).code, 0);
    assert.equal((await explained(post('/x', ...token, '--route', '/plain/mcp*'))).code, 0);
    const service = await explained([...base(), `${ORIGIN}/.well-known/oauth-protected-resource/x`]);
    assert.match(service.json.because, /this service is not asked/);
    assert.equal(service.code, 0);
  });

  describe('2: what is wrong is said', () => {
    const url = `${ORIGIN}/plain/mcp`;
    const rows: [string, () => string[], RegExp][] = [
      ['no configuration', () => [url], /--config is missing/],
      ['no URL', () => base(), /say which request/],
      ['two URLs', () => [...base(), url, url], /one URL/],
      ['no http URL', () => [...base(), 'ftp://x/'], /the URL must be/],
      ['a user in the URL', () => [...base(), 'http://u:secret-word@x/'], /the URL must be/],
      ['an unknown flag', () => [...base(), '--verbose', url], /--verbose/],
      ['no header', () => [...base(), '-H', 'nonsense', url], /-H 'Name: value'/],
      ['a header with a line break', () => [...base(), '-H', 'a: b\r\nc: d', url], /line breaks/],
      [
        'no body file',
        () => [...base(), '-d', '@/nowhere/body', url],
        /--data: \/nowhere\/body cannot be read \(ENOENT\)/,
      ],
      ['a token twice', () => [...base(), '-H', 'Authorization: x', '--token-file', file('token'), url], /given twice/],
      ['no token file', () => [...base(), '--token-file', '/nowhere/token', url], /--token-file/],
      ['no such variable', () => [...base(), '--token-env', 'NOPE', url], /NOPE is not set/],
      ['keys without --offline', () => [...base(), '--jwks', file('jwks.json'), url], /--jwks is for --offline/],
      ['keys that are none', () => [...base(), '--offline', '--jwks', file('envoy.json'), url], /no JWK Set/],
      ['no time', () => [...base(), '--at', 'yesterday', url], /--at must be/],
      ['no address', () => [...base(), '--peer', 'localhost', url], /--peer must be an IP/],
      ['a request file and a URL', () => [...base(), '--request', file('token'), url], /leave out the URL/],
      ['a request file that is no JSON', () => [...base(), '--request', file('token')], /no JSON/],
      [
        'a request file with a wrong key',
        () => [...base(), '--request', put('r.json', { url, header: {} })],
        /header: no such key/,
      ],
      [
        'a request file with a wrong type',
        () => [...base(), '--request', put('r.json', { url: 7 })],
        /url: must be a string/,
      ],
      ['no such route', () => [...base(), '--route', 'x', url], /no route is named x/],
      ['no such listener', () => [...base(), '--listener', 'x', url], /no listener/],
      ['no Envoy file', () => ['--config', file('sidecar.yaml'), '--envoy', '/nowhere', url], /cannot be read/],
      ['no Envoy configuration', () => [...base(), '--envoy', file('jwks.json'), url], /holds no Envoy listener/],
      ['a wrong configuration', () => ['--config', put('bad.yaml', { publicUrl: 7 }), url], /publicUrl/],
      [
        'a configuration that names no Envoy',
        () => ['--config', put('lone.yaml', { publicUrl: ORIGIN }), url],
        /Give --envoy/,
      ],
    ];
    for (const [what, argv, wanted] of rows) {
      test(what, async () => {
        const { code, stdout, stderr } = await runExplain(argv());
        assert.deepEqual([code, stdout], [2, ''], stderr);
        assert.match(stderr, wanted);
        assert.ok(!stderr.includes(token) && !stderr.includes('secret-word'));
      });
    }
  });
});
