import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { parse } from 'yaml';
import { fences } from '../docs/fences.ts';
import { openVault } from '../../src/upstream/vault/open.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { type CollectedSpan, type Collector, startCollector, tree } from '../support/collector.ts';
import { rpc, toolCall } from '../support/http.ts';
import { type ExchangeServer, GATEWAY, startExchangeServer } from '../support/exchange-server.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { type AuditLine, type Stack, startStack } from '../support/stack.ts';
import { testTools, vaultConfig } from '../support/vault-tools.ts';

const KEY_BYTES = randomBytes(32);
const SPAN_ID = '00f067aa0ba902b7';
/** What ext_proc adds on every route of a set-up that has it. */
const PROCESS = ['check > process request_headers', 'check > process response_headers'];
const newTrace = () => randomBytes(16).toString('hex');
const parent = (traceId: string, flags = '01') => ['traceparent', `00-${traceId}-${SPAN_ID}-${flags}`];

describe('traces of requests, as a collector gets them', { timeout: 120_000 }, () => {
  let collector: Collector;
  let server: ExchangeServer;
  let github: FakeProvider;
  let stack: Stack;
  let vault: Vault;
  /** Everything that must not be found in what is exported. */
  const secrets = new Set<string>(['alice', 'bob', 'carol', 'dora', 'erin', 's3cret-of-client', 'collector-key']);

  const tokenFor = async (path: string, subject: string) => {
    const token = await server.userToken(subject, stack.origin + path);
    secrets.add(token);
    return token;
  };
  const call = async (path: string, token: string, headers: string[] = []) => {
    const answer = await rpc(stack.origin + path, toolCall('delete_repo'), [
      'Authorization',
      `Bearer ${token}`,
      ...headers,
    ]);
    const sent = stack.backend.seen.at(-1)?.headers['authorization'];
    if (sent) secrets.add(sent.replace(/^Bearer /, ''));
    return answer;
  };
  const connect = (subject: string, options: Parameters<FakeProvider['issue']>[1]) =>
    vault.create({ issuer: server.issuer, subject, provider: 'github' }, github.issue(subject, options));
  /** The audit lines of that kind, once so many are there: they are written in batches. */
  const audited = (count: number, look: (line: AuditLine) => boolean) =>
    stack.services[0]!.until(() => {
      const found = stack.audit().filter(look);
      return found.length >= count && found;
    });
  const named = (spans: readonly CollectedSpan[], name: string) => {
    const found = spans.find((span) => span.name === name);
    assert.ok(found, `${name} among ${tree(spans).join('; ')}`);
    return found;
  };

  before(async () => {
    [collector, server, github] = await Promise.all([startCollector(), startExchangeServer(), startProvider()]);
    const route = (origin: string, name: string, more: object) => ({
      prefix: `/${name}/mcp`,
      policy: { backend: name, resource: `${origin}/${name}/mcp`, incomingAuth: ['corp'], ...more },
    });
    stack = await startStack({
      extProc: true,
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/otlp/`,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
        OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
        OTEL_EXPORTER_OTLP_HEADERS: 'x-collector=collector-key',
        OTEL_SERVICE_NAME: 'mcp-sidecar',
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,service.name=overruled',
        OTEL_BSP_SCHEDULE_DELAY: '20',
      },
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: server.issuer } },
        tokenExchanges: { sso: { tokenEndpoint: server.tokenEndpoint, ...GATEWAY } },
        upstreamProviders: {
          github: { issuer: github.issuer, clientId: 'c', clientSecret: 's3cret-of-client', scopes: [] },
        },
        vault: { store: 'sqlite:./vault.db', keys: [{ id: 'k1', key: KEY_BYTES.toString('base64') }] },
        connect: {
          login: { issuer: server.issuer, clientId: 'login', clientSecret: 'x' },
          cookieKeys: [randomBytes(32).toString('base64')],
        },
      },
      routes: (origin) => [
        route(origin, 'claims', { outgoingAuth: { type: 'claim_injection' } }),
        route(origin, 'meta', {
          outgoingAuth: { type: 'unauthenticated' },
          identityPropagation: { mode: 'meta', attributes: ['id'] },
        }),
        route(origin, 'hr', {
          outgoingAuth: { type: 'token_exchange', tokenExchange: { exchange: 'sso', audience: 'hr' } },
        }),
        route(origin, 'github', {
          outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'github' } },
        }),
      ],
    });
    vault = await openVault(
      vaultConfig(`sqlite:${join(stack.folder, 'vault.db')}`, [{ id: 'k1', bytes: KEY_BYTES }]),
      testTools(),
    );
  });
  after(async () => {
    await vault?.close();
    await stack?.stop();
    await Promise.all([server?.stop(), github?.stop(), collector?.stop()]);
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
  });

  it('a token that is new, and one that is known: the second has nothing to wait for', async () => {
    const [first, second] = [newTrace(), newTrace()];
    const token = await tokenFor('/claims/mcp', 'alice');
    await call('/claims/mcp', token, [...parent(first), 'tracestate', 'vendor=1']);
    await call('/claims/mcp', token, parent(second));

    const missed = await collector.trace(first, 4);
    assert.deepEqual(tree(missed), ['check', 'check > authenticate jwt', ...PROCESS]);
    const check = named(missed, 'check');
    assert.equal(check.parentSpanId, SPAN_ID);
    assert.equal(check.traceState, 'vendor=1');
    assert.equal(check.kind, 2);
    const { 'mcp_identity.request_id': requestId, ...attributes } = check.attributes;
    assert.deepEqual(attributes, {
      'mcp_identity.event': 'decision',
      'mcp_identity.outcome': 'allow',
      'mcp_identity.reason': 'ok',
      'mcp_identity.status': 200,
      'mcp_identity.backend': 'claims',
      'mcp_identity.strategy': 'claim_injection',
      'mcp_identity.auth_method': 'jwt',
      'mcp.method.name': 'tools/call',
    });
    const line = await stack.auditOf(String(requestId));
    assert.equal(line['trace_id'], first);
    assert.deepEqual(tree(await collector.trace(second, 3)), ['check', ...PROCESS]);
  });

  it('who sends them, where to, and with what', async () => {
    const [request] = collector.requests;
    assert.equal(request?.path, '/otlp/v1/traces');
    assert.equal(request?.headers['x-collector'], 'collector-key');
    const {
      'service.name': name,
      'service.version': version,
      'deployment.environment.name': environment,
    } = collector.resource as Record<string, string>;
    assert.deepEqual([name, environment], ['mcp-sidecar', 'test']);
    assert.match(version ?? '', /^\d+\.\d+\.\d+/);
  });

  it('a denial says why; it is no fault of ours', async () => {
    const traceId = newTrace();
    const forged = `${(await tokenFor('/claims/mcp', 'alice')).slice(0, -8)}AAAAAAAA`;
    secrets.add(forged);
    assert.equal((await call('/claims/mcp', forged, parent(traceId))).status, 401);
    const check = named(await collector.trace(traceId, 2), 'check');
    assert.equal(check.attributes['mcp_identity.reason'], 'token_signature');
    assert.equal(check.status, 0);
  });

  it('an exchange: the call is a step, and the token endpoint learns of the trace', async () => {
    const [first, second] = [newTrace(), newTrace()];
    const token = await tokenFor('/hr/mcp', 'bob');
    await call('/hr/mcp', token, parent(first));
    await call('/hr/mcp', token, parent(second));
    const spans = await collector.trace(first, 6);
    assert.deepEqual(tree(spans), [
      'check',
      'check > authenticate jwt',
      'check > credential token_exchange',
      'check > credential token_exchange > egress token_exchange',
      ...PROCESS,
    ]);
    const egress = named(spans, 'egress token_exchange');
    assert.equal(egress.kind, 3);
    assert.deepEqual(egress.attributes, {
      'http.request.method': 'POST',
      'server.address': '127.0.0.1',
      'server.port': Number(new URL(server.issuer).port),
      'mcp_identity.purpose': 'token_exchange',
      'http.response.status_code': 200,
    });
    assert.deepEqual(tree(await collector.trace(second, 3)), ['check', ...PROCESS]);
  });

  it('a token that has run out: refresh, vault and provider in one tree', async () => {
    const traceId = newTrace();
    await connect('carol', { lifetimeSeconds: 60, ageSeconds: 120 });
    const answer = await call('/github/mcp', await tokenFor('/github/mcp', 'carol'), [
      ...parent(traceId),
      'tracestate',
      'vendor=1',
      'baggage',
      'user=carol',
    ]);
    assert.equal(answer.status, 200);
    const refresh = 'check > credential upstream_inject > refresh';
    const paths = tree(
      await collector.until(() => {
        const spans = collector.spans.filter((span) => span.traceId === traceId);
        return (
          spans.some(({ name }) => name === 'vault release') && spans.some(({ name }) => name === 'check') && spans
        );
      }),
    );
    for (const path of [
      'check > credential upstream_inject > vault read',
      refresh,
      `${refresh} > egress upstream_refresh`,
      `${refresh} > vault lease`,
      `${refresh} > vault read`,
      `${refresh} > vault compare_and_set`,
      `${refresh} > vault release`,
    ])
      assert.ok(paths.includes(path), `${path} in\n${paths.join('\n')}`);
    const [sent] = github.tokenRequests();
    assert.match(String(sent?.headers['traceparent']), new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
    assert.deepEqual([sent?.headers['tracestate'], sent?.headers['baggage']], [undefined, undefined]);
    const [line] = await audited(1, ({ event }) => event === 'refresh');
    assert.equal(line?.['trace_id'], traceId);
  });

  it('a refresh that nobody waits for is a trace of its own, linked with the call that began it', async () => {
    const traceId = newTrace();
    await connect('dora', { lifetimeSeconds: 1_000, ageSeconds: 960 });
    await call('/github/mcp', await tokenFor('/github/mcp', 'dora'), parent(traceId));
    const refresh = await collector.until(() =>
      collector.spans.find(({ name, links }) => name === 'refresh' && links.some((link) => link.traceId === traceId)),
    );
    assert.equal(refresh.parentSpanId, undefined);
    assert.notEqual(refresh.traceId, traceId);
    assert.equal(refresh.attributes['mcp_identity.provider'], 'github');
    assert.equal(refresh.attributes['mcp_identity.reason'], 'ok');
    const spans = collector.spans.filter((span) => span.traceId === traceId);
    assert.ok(!spans.some(({ name }) => name === 'refresh'), tree(spans).join('; '));
  });

  it('ext_proc belongs to the trace of the decision, also when nobody has begun one', async () => {
    await call('/meta/mcp', await tokenFor('/meta/mcp', 'alice'));
    const lines = await audited(2, ({ backend }) => backend === 'meta');
    const traceId = String(lines[0]?.['trace_id']);
    const spans = await collector.trace(traceId, 5);
    assert.deepEqual(tree(spans), [
      'check',
      'check > authenticate jwt',
      'check > process request_body',
      'check > process request_headers',
      'check > process response_headers',
    ]);
    const check = named(spans, 'check');
    assert.equal(check.parentSpanId, undefined);
    assert.equal(check.attributes['mcp.method.name'], 'tools/call');
    assert.deepEqual(
      lines.map(({ event, trace_id }) => [event, trace_id]),
      [
        ['decision', traceId],
        ['response', traceId],
      ],
    );
    assert.equal(named(spans, 'process response_headers').attributes['mcp_identity.event'], 'response');
  });

  it('what is no traceparent begins a trace of its own', async () => {
    const token = await tokenFor('/claims/mcp', 'alice');
    const junk = newTrace();
    const isDecision = ({ backend, event }: AuditLine) => backend === 'claims' && event === 'decision';
    const known = stack.audit().filter(isDecision).length;
    for (const text of [`ff-${junk}-${SPAN_ID}-01`, `00-${junk}-${SPAN_ID}-01-x`, `00-${junk}-0000000000000000-01`])
      await call('/claims/mcp', token, ['traceparent', text]);
    const lines = (await audited(known + 3, isDecision)).slice(-3);
    assert.equal(lines.length, 3);
    for (const line of lines) {
      assert.notEqual(line['trace_id'], junk);
      assert.equal(named(await collector.trace(String(line['trace_id']), 3), 'check').parentSpanId, undefined);
    }
  });

  it('what the caller does not sample is not sent', async () => {
    const [quiet, loud] = [newTrace(), newTrace()];
    const token = await tokenFor('/claims/mcp', 'alice');
    await call('/claims/mcp', token, parent(quiet, '00'));
    await call('/claims/mcp', token, parent(loud));
    await collector.trace(loud, 1);
    assert.deepEqual(
      collector.spans.filter(({ traceId }) => traceId === quiet),
      [],
    );
  });

  it('log lines of a request name it and its trace', async () => {
    const traceId = newTrace();
    github.trouble = { status: 503 };
    await connect('erin', { lifetimeSeconds: 60, ageSeconds: 120 });
    await call('/github/mcp', await tokenFor('/github/mcp', 'erin'), parent(traceId));
    github.trouble = undefined;
    await audited(1, ({ event, trace_id }) => event === 'decision' && trace_id === traceId);
    const line = stack.services[0]?.stderr.split('\n').find((text) => text.includes('a token could not be refreshed'));
    const { trace_id: logged, request_id: requestId } = JSON.parse(line ?? '{}') as Record<string, string>;
    assert.equal(logged, traceId);
    assert.ok(requestId);
    const refresh = named(
      await collector.until(() => {
        const spans = collector.spans.filter((span) => span.traceId === traceId);
        return spans.some(({ name }) => name === 'check') && spans;
      }),
      'refresh',
    );
    assert.deepEqual([refresh.status, refresh.attributes['error.type']], [2, 'server_error']);
  });

  it('nothing that was exported holds a token, a secret or a person', () => {
    for (const record of github.tokenRequests()) secrets.add(record.params.get('refresh_token') ?? 'alice');
    for (const { subject_token: token } of server.exchanges) if (token) secrets.add(token);
    assert.ok(secrets.size > 10);
    const bytes = Buffer.concat(collector.requests.map((request) => request.bytes)).toString('latin1');
    assert.ok(bytes.includes('credential token_exchange'));
    for (const secret of secrets) assert.ok(!bytes.includes(secret), `${secret} was exported`);
    assert.ok(!bytes.includes(server.issuer.replace(/:\d+$/, '') + '/'), 'a URL was exported');
    assert.ok(!bytes.includes('delete_repo'));
  });
});

describe('traces, other arrangements', { timeout: 120_000 }, () => {
  const config = (server: ExchangeServer) => ({ incomingAuth: { corp: { type: 'jwt', issuer: server.issuer } } });
  const routes = (origin: string) => [
    {
      prefix: '/a/mcp',
      policy: {
        backend: 'a',
        resource: `${origin}/a/mcp`,
        incomingAuth: ['corp'],
        outgoingAuth: { type: 'claim_injection' },
      },
    },
  ];
  let server: ExchangeServer;
  let collector: Collector;
  const call = async (stack: Stack, headers: string[] = []) => {
    const token = await server.userToken('alice', `${stack.origin}/a/mcp`);
    return rpc(`${stack.origin}/a/mcp`, toolCall('x'), ['Authorization', `Bearer ${token}`, ...headers]);
  };
  before(async () => {
    [server, collector] = await Promise.all([startExchangeServer(), startCollector()]);
  });
  after(() => Promise.all([server?.stop(), collector?.stop()]));

  it('Envoy traces: its span is the parent, not what the client says; the last spans are sent on SIGTERM', async (t) => {
    const page = fences(readFileSync(join(import.meta.dirname, '../../docs/operations/observability.md'), 'utf8'));
    const sample = page.find(({ info }) => info[1] === 'envoy-tracing')?.text ?? '';
    const settings = sample.replace('http://otel-collector:4318/v1/traces', `${collector.url}/envoy`);
    assert.notEqual(settings, sample);
    const stack = await startStack({
      tracing: { settings: parse(settings).tracing, port: collector.port },
      env: {
        OTEL_TRACES_EXPORTER: 'otlp',
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/own`,
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
        OTEL_BSP_SCHEDULE_DELAY: '600000',
      },
      config: config(server),
      routes,
    });
    t.after(() => stack.stop());
    await call(stack);
    const toBackend = /^00-([0-9a-f]{32})-/.exec(String(stack.backend.last().headers['traceparent']))?.[1] ?? '';
    const line = await stack.services[0]!.until(() => stack.audit().at(-1));
    assert.equal(line['trace_id'], toBackend);
    assert.equal(collector.spans.length, 0);
    assert.equal(await stack.services[0]?.stop('SIGTERM'), 0);
    const check = collector.spans.find(({ name }) => name === 'check');
    assert.equal(check?.traceId, toBackend);
    const envoys = await collector.until(() => {
      const bytes = collector.requests.filter(({ path }) => path === '/envoy').map((request) => request.bytes);
      const all = Buffer.concat(bytes);
      return all.includes(Buffer.from(check?.parentSpanId ?? 'none', 'hex')) && all;
    });
    assert.ok(envoys.includes('envoy.service.auth.v3.Authorization.Check'));
  });

  it('a collector that is away, or refuses: calls go on, and what is lost is counted and told once', async (t) => {
    const stack = await startStack({
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_BSP_SCHEDULE_DELAY: '5',
        OTEL_BSP_MAX_QUEUE_SIZE: '4',
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '2',
      },
      config: config(server),
      routes,
    });
    t.after(() => stack.stop());
    collector.status = 503;
    const before = collector.requests.length;
    for (let i = 0; i < 6; i++) assert.equal((await call(stack)).status, 200);
    const { headers, bytes } = await collector.until(() => collector.requests.at(before));
    assert.equal(headers['content-type'], 'application/x-protobuf');
    assert.ok(bytes.includes('mcp_identity.outcome'));
    await collector.stop();
    for (let i = 0; i < 6; i++) assert.equal((await call(stack)).status, 200);
    await stack.services[0]?.until(() => stack.services[0]?.stderr.includes('traces could not be sent'));
    const told = stack.services[0]?.stderr.split('\n').filter((line) => line.includes('traces could not be sent'));
    assert.equal(told?.length, 1);
    assert.match(await stack.metrics(), /mcp_identity_trace_spans_total\{outcome="failed"\} [1-9]/);
  });
});
