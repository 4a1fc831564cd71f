// Labels come from the configuration and from closed lists: an outsider cannot make new ones.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { METRIC_NOTES } from '../../scripts/docs/metrics.ts';
import { REFUSALS } from '../../src/explain/refusal-help.ts';
import { rpc, send } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { type Stack, startStack } from '../support/stack.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');
const SECRET_HASH = createHash('sha256').update('key').digest('hex');

describe('labels of metrics', { timeout: 120_000 }, () => {
  let issuer: FakeIssuer;
  let github: FakeProvider;
  let stack: Stack;

  before(async () => {
    [issuer, github] = await Promise.all([startIssuer(), startProvider()]);
    const route = (origin: string, name: string, incomingAuth: string[], more: object) => ({
      prefix: `/${name}/mcp`,
      policy: { backend: name, resource: `${origin}/${name}/mcp`, incomingAuth, ...more },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: {
          corp: { type: 'jwt', issuer: issuer.issuer },
          opaque: {
            type: 'introspection',
            issuer: issuer.issuer,
            introspectionEndpoint: `${issuer.issuer}/introspect`,
            clientId: 'c',
            clientSecret: 's',
          },
          ci: { type: 'api_key', header: 'x-api-key', keys: [{ id: 'bot', sha256: SECRET_HASH, subject: 'bot' }] },
          guest: { type: 'anonymous' },
        },
        upstreamProviders: { github: { issuer: github.issuer, clientId: 'c', clientSecret: 's', scopes: [] } },
        vault: { store: 'memory', keys: [{ id: 'k1', key: KEY }] },
        connect: { login: { issuer: issuer.issuer, clientId: 'login', clientSecret: 'x' }, cookieKeys: [KEY] },
      },
      routes: (origin) => [
        route(origin, 'all', ['corp', 'opaque', 'ci', 'guest'], {
          outgoingAuth: { type: 'claim_injection' },
          tools: { 'admin_*': { deny: true } },
          identityPropagation: { mode: 'both', attributes: ['id'] },
        }),
        route(origin, 'github', ['corp'], {
          outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'github' } },
        }),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await Promise.all([issuer?.stop(), github?.stop()]);
  });

  /** Everything an outsider may choose holds the marker. */
  const flood = async (marker: string): Promise<void> => {
    const { origin } = stack;
    const body = (method: string) => ({ jsonrpc: '2.0', id: marker, method, params: { name: marker, [marker]: 1 } });
    const token = (claims: object, options: object = {}) =>
      issuer.token({ aud: `${origin}/all/mcp`, sub: marker, ...claims }, options);
    const common = [
      'x-request-id',
      marker,
      'mcp-session-id',
      marker,
      'mcp-protocol-version',
      marker,
      'mcp-method',
      marker,
      'user-agent',
      marker,
      'traceparent',
      marker,
      marker,
      marker,
    ];
    const credentials = [
      ['authorization', `Bearer ${await token({})}`],
      ['authorization', `Bearer ${await token({ scope: marker, email: marker, groups: [marker] })}`],
      ['authorization', `Bearer ${await token({ iss: marker })}`],
      ['authorization', `Bearer ${await token({ aud: marker })}`],
      ['authorization', `Bearer ${await token({ aud: `${origin}/github/mcp` })}`],
      ['authorization', `Bearer ${await issuer.forged({ sub: marker })}`],
      ['authorization', `Bearer ${issuer.unsecured({ sub: marker })}`],
      ['authorization', `Bearer ${marker}`],
      ['authorization', `${marker} ${marker}`],
      ['authorization', `Basic ${Buffer.from(`${marker}:${marker}`).toString('base64')}`],
      ['x-api-key', marker],
      ['x-api-key', 'key'],
      ['origin', `https://${marker}.example`],
      [],
    ];
    for (const path of ['all', 'github', marker])
      for (const credential of credentials)
        for (const method of ['tools/call', marker])
          await rpc(`${origin}/${path}/mcp/${marker}?${marker}=${marker}`, body(method), [...credential, ...common]);
    for (const path of [
      `/connect/${marker}`,
      `/connect/github?ticket=${marker}`,
      `/connect/callback/github?state=${marker}&code=${marker}&error=${marker}`,
      `/connect/callback/${marker}`,
      `/connect/login/callback?state=${marker}&code=${marker}`,
      `/.well-known/oauth-protected-resource/${marker}`,
    ])
      for (const method of ['GET', 'POST', 'PUT']) await send(origin + path, { method, headers: common });
  };

  const seriesOf = (text: string) =>
    [...text.matchAll(/^(\w+)\{(.*)\} /gm)].map(([, name = '', labels = '']) => ({ name, labels }));

  it('none is made by what outsiders send', async () => {
    await flood('marker1');
    const first = await stack.metrics();
    await flood('marker2');
    await flood('marker3');
    const last = await stack.metrics();
    assert.doesNotMatch(last, /marker/i);
    const ours = (text: string) => seriesOf(text).filter(({ name }) => name.startsWith('mcp_identity_'));
    const names = (text: string) => ours(text).map(({ name, labels }) => `${name}{${labels}}`);
    const reasons = new Set(
      [...last.matchAll(/^mcp_identity_decisions_total\{.*reason="(\w+)"/gm)].map(([, one]) => one),
    );
    assert.ok(reasons.size > 10, [...reasons].join());
    assert.deepEqual(
      names(last).filter((series) => !names(first).includes(series)),
      [],
    );
  });

  it('they are those that the reference names, and reasons are those of the reference', async () => {
    const text = await stack.metrics();
    for (const { name, labels } of seriesOf(text).filter(({ name: one }) => one.startsWith('mcp_identity_'))) {
      const note = METRIC_NOTES[name] ?? METRIC_NOTES[name.replace(/_(bucket|sum|count)$/, '')];
      assert.ok(note, name);
      const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(
        ([, label = '', value = '']) => [label, value] as const,
      );
      assert.deepEqual(
        pairs
          .map(([label]) => label)
          .filter((label) => label !== 'le')
          .sort(),
        [...note.labels].sort(),
      );
      for (const [label, value] of pairs) {
        const closed = CLOSED[`${name} ${label}`] ?? CLOSED[label];
        if (closed) assert.ok(closed.includes(value), `${name}: ${label} is ${value}`);
      }
    }
    assert.match(text, /^mcp_identity_build_info\{version="\d+\.\d+\.\d+[^"]*",node="\d+[^"]*"\} 1$/m);
    for (const name of [
      'nodejs_eventloop_lag_p99_seconds',
      'process_resident_memory_bytes',
      'process_cpu_seconds_total',
    ])
      assert.match(text, new RegExp(`^${name} \\d`, 'm'));
  });
});

/** What labels may hold in the set-up above. */
const CLOSED: Readonly<Record<string, readonly string[]>> = {
  backend: ['all', 'github', ''],
  strategy: ['claim_injection', 'upstream_inject', ''],
  'mcp_identity_decisions_total outcome': ['allow', 'deny', 'error'],
  'mcp_identity_decisions_total reason': ['ok', ...Object.keys(REFUSALS)],
  method: ['corp', 'opaque', 'ci', 'guest'],
  key: ['bot'],
  provider: ['github', 'unconfigured'],
  cache: ['verified_tokens', 'introspection', 'token_exchange', 'aws_sts', 'open_grants'],
  kind: ['token_exchange', 'aws_sts'],
};
