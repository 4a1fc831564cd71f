import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { HeaderFields } from '../../src/core/request-facts.ts';
import { parseSource } from '../../src/core/source-document.ts';
import type { EnvoyModel } from '../../src/policy/envoy-config/model.ts';
import { readEnvoyConfig } from '../../src/policy/envoy-config/read.ts';
import { chooseRoute } from '../../src/policy/envoy-match/choose.ts';
import { Child } from '../support/child.ts';
import { send } from '../support/http.ts';
import { freePorts } from '../support/ports.ts';
import { envoyBinary } from '../support/stack.ts';

const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';

/** Answers with its own name. */
const route = (name: string, match: Record<string, unknown>) => ({
  name,
  match,
  direct_response: { status: 200, body: { inline_string: name } },
});
const host = (name: string, domains: string[], routes: object[] = [route(`${name} any`, { prefix: '/' })]) => ({
  name,
  domains,
  routes,
});

const PATHS = [
  route('exact', { path: '/exact' }),
  route('exact any case', { path: '/Any', case_sensitive: false }),
  route('separated', { path_separated_prefix: '/sep/mcp' }),
  route('separated any case', { path_separated_prefix: '/Sepa', case_sensitive: false }),
  route('regex', { safe_regex: { regex: '/r/[a-z]+(/\\d{2,3})?' } }),
  route('alternatives', { safe_regex: { regex: '/one|/two/.*' } }),
  route('header exact', { prefix: '/h', headers: [{ name: 'x-kind', string_match: { exact: 'a' } }] }),
  route('header any case', {
    prefix: '/h',
    headers: [{ name: 'X-Kind', string_match: { exact: 'B', ignore_case: true } }],
  }),
  route('header prefix', { prefix: '/h', headers: [{ name: 'x-kind', string_match: { prefix: 'pre' } }] }),
  route('header suffix', { prefix: '/h', headers: [{ name: 'x-kind', string_match: { suffix: 'fix' } }] }),
  route('header contains', { prefix: '/h', headers: [{ name: 'x-kind', string_match: { contains: ',' } }] }),
  route('header regex', {
    prefix: '/h',
    headers: [{ name: 'x-kind', string_match: { safe_regex: { regex: '\\d+' } } }],
  }),
  route('header range', { prefix: '/h', headers: [{ name: 'x-size', range_match: { start: -5, end: 10 } }] }),
  route('header there', { prefix: '/h', headers: [{ name: 'x-there', present_match: true }] }),
  route('header only named', { prefix: '/h', headers: [{ name: 'x-named' }] }),
  route('header not there', { prefix: '/h/none', headers: [{ name: 'x-absent', present_match: false }] }),
  route('not there, the other way', {
    prefix: '/h/inv',
    headers: [{ name: 'x-absent', present_match: true, invert_match: true }],
  }),
  route('header inverted', {
    prefix: '/h/not',
    headers: [{ name: 'x-kind', string_match: { exact: 'z' }, invert_match: true }],
  }),
  route('header empty', {
    prefix: '/h/empty',
    headers: [{ name: 'x-absent', string_match: { exact: '' }, treat_missing_header_as_empty: true }],
  }),
  route('two conditions', {
    prefix: '/h/two',
    headers: [
      { name: 'x-kind', present_match: true },
      { name: 'x-absent', present_match: true },
    ],
  }),
  route('method', { prefix: '/m', headers: [{ name: ':method', string_match: { exact: 'POST' } }] }),
  route('query exact', { prefix: '/q', query_parameters: [{ name: 'a', string_match: { exact: '1' } }] }),
  route('query there', { prefix: '/q', query_parameters: [{ name: 'b', present_match: true }] }),
  route('query named', { prefix: '/q', query_parameters: [{ name: 'c' }] }),
  route('query prefix', { prefix: '/q', query_parameters: [{ name: 'd', string_match: { prefix: 'x' } }] }),
  route('grpc', { prefix: '/g', grpc: {} }),
  route('share', { prefix: '/share', runtime_fraction: { default_value: { numerator: 50 } } }),
  route('prefix without a slash at its end', { prefix: '/pre' }),
  route('prefix any case', { prefix: '/CASE', case_sensitive: false }),
];
const HOSTS = [
  host('main', ['mcp.example.com'], PATHS),
  host('suffix', ['*.example.com']),
  host('longer suffix', ['*.api.example.com']),
  host('dashed suffix', ['*-eu.example.com']),
  host('prefix', ['mcp.*']),
  host('longer prefix', ['mcp.test.*']),
  host('port', ['mcp.example.com:8080']),
  host('capital', ['CAPITAL.example.org']),
  host('empty', ['empty.example.org'], []),
  host('re2', ['re2.example.org'], [route('only re2', { safe_regex: { regex: '(?i)/insensitive' } })]),
];
const DEFAULT = host('default', ['*']);

const REQUESTS: readonly [
  host: string,
  target: string,
  headers?: Record<string, string | string[]>,
  method?: string,
][] = [
  ...[
    '/exact',
    '/exact/',
    '/exact?x=1',
    '/Exact',
    '/any',
    '/ANY',
    '/anyway',
    '/sep/mcp',
    '/sep/mcp/',
    '/sep/mcp/x',
  ].map((path) => ['mcp.example.com', path] as [string, string]),
  ...['/sep/mcpx', '/sep/mcp?x', '/sepa/y', '/SEPA', '/r/abc', '/r/abc/12', '/r/abc/1234', '/r/ABC', '/r/abc?q'].map(
    (path) => ['mcp.example.com', path] as [string, string],
  ),
  ...['/one', '/onex', '/two/x/y', '/x/one', '/share', '/pre', '/prefix', '/pr', '/case', '/Case/x'].map(
    (path) => ['mcp.example.com', path] as [string, string],
  ),
  ...['a', 'A', 'b', 'B', 'prefer', 'suffix', 'a,b', '12', '12x', ''].map(
    (kind) => ['mcp.example.com', '/h/x', { 'x-kind': kind }] as [string, string, Record<string, string>],
  ),
  ['mcp.example.com', '/h/x', { 'x-kind': ['a', 'b'] }],
  ...['-5', '9', '10', '-6', 'x', '1.5', ''].map(
    (size) => ['mcp.example.com', '/h/x', { 'x-size': size }] as [string, string, Record<string, string>],
  ),
  ['mcp.example.com', '/h/x', { 'x-there': '1' }],
  ['mcp.example.com', '/h/x', { 'X-There': '' }],
  ['mcp.example.com', '/h/x', { 'x-named': 'y' }],
  ['mcp.example.com', '/h/x'],
  ['mcp.example.com', '/h/none'],
  ['mcp.example.com', '/h/none', { 'x-absent': '1' }],
  ['mcp.example.com', '/h/inv'],
  ['mcp.example.com', '/h/inv', { 'x-absent': '1' }],
  ['mcp.example.com', '/h/not', { 'x-kind': 'q' }],
  ['mcp.example.com', '/h/not', { 'x-kind': 'z' }],
  ['mcp.example.com', '/h/not'],
  ['mcp.example.com', '/h/empty'],
  ['mcp.example.com', '/h/empty', { 'x-absent': 'q' }],
  ['mcp.example.com', '/h/two', { 'x-kind': 'q' }],
  ['mcp.example.com', '/h/two', { 'x-kind': 'q', 'x-absent': '' }],
  ['mcp.example.com', '/m', {}, 'POST'],
  ['mcp.example.com', '/m', {}, 'GET'],
  ...['?a=1', '?a=2', '?a=2&a=1', '?x=1&a=1', '?b', '?b=', '?c=9', '?d=xy', '?d=yx', '?e', '', '?a=%31', '?A=1'].map(
    (query) => ['mcp.example.com', `/q${query}`] as [string, string],
  ),
  ['mcp.example.com', '/g', { 'content-type': 'application/grpc' }],
  ['mcp.example.com', '/g', { 'content-type': 'application/grpc+proto' }],
  ['mcp.example.com', '/g', { 'content-type': 'application/grpcx' }],
  ['mcp.example.com', '/g'],
  ['re2.example.org', '/INSENSITIVE'],
  ['mcp.example.com', '/exact/../one'],
  ['mcp.example.com', '//one'],
  ...[
    'mcp.example.com:8080',
    'mcp.example.com:9090',
    'MCP.Example.Com',
    'a.example.com',
    '.example.com',
    'a.api.example.com',
    'x-eu.example.com',
  ].map((name) => [name, '/exact'] as [string, string]),
  ...[
    'mcp.org',
    'mcp.',
    'mcp.test.org',
    'mcp.test.',
    'capital.example.org',
    'empty.example.org',
    'unknown.example.net',
    'a.example.com:80',
  ].map((name) => [name, '/exact'] as [string, string]),
];

/** Which of them may be left to Envoy, beside copies of a header; everything else has to be told. */
const LEFT_TO_ENVOY = /insensitive|\/share|\.\.|\/\/|%31/i;

const agent = new Agent({ keepAlive: true, maxSockets: 8 });
const ask = (port: number, [name, path, headers = {}, method = 'GET']: (typeof REQUESTS)[number]): Promise<string> =>
  new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port, path, method, agent, setHost: false, headers: { host: name, ...headers } },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        // An answer to gRPC says it in a header.
        const said = () => text || String(response.headers['grpc-message']);
        response.on('end', () => resolve(response.statusCode === 200 ? said() : `status ${response.statusCode}`));
      },
    );
    outgoing.on('error', reject).end();
  });

const listener = (port: number, virtualHosts: object[], manager: object, table: object) => ({
  address: { socket_address: { address: '127.0.0.1', port_value: port } },
  filter_chains: [
    {
      filters: [
        {
          name: 'hcm',
          typed_config: {
            '@type': HCM,
            stat_prefix: `p${port}`,
            ...manager,
            route_config: { virtual_hosts: virtualHosts, ...table },
            http_filters: [{ name: 'router', typed_config: { '@type': ROUTER } }],
          },
        },
      ],
    },
  ],
});

describe('the route that is named is the one that Envoy takes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'emi-routes-'));
  let envoy: Child;
  let model: EnvoyModel;
  let ports: number[];

  before(async () => {
    ports = await freePorts(5);
    const [admin, strict, open, anyPort, ignored] = ports as [number, number, number, number, number];
    const file = join(folder, 'envoy.json');
    const text = JSON.stringify({
      admin: { address: { socket_address: { address: '127.0.0.1', port_value: admin } } },
      static_resources: {
        listeners: [
          listener(strict, HOSTS, {}, {}),
          listener(open, [...HOSTS, DEFAULT], {}, {}),
          listener(anyPort, HOSTS, { strip_any_host_port: true, strip_trailing_host_dot: true }, {}),
          listener(ignored, HOSTS, {}, { ignore_port_in_host_matching: true }),
        ],
      },
    });
    writeFileSync(file, text);
    const read = parseSource(file, text, 'envoy');
    assert.ok(read.ok);
    model = readEnvoyConfig(read.document) as EnvoyModel;
    envoy = new Child('envoy', envoyBinary(), [
      '-c',
      file,
      '--use-dynamic-base-id',
      '--concurrency',
      '1',
      '--log-level',
      'warning',
    ]);
    for (const deadline = Date.now() + 15_000; ; ) {
      const status = await send(`http://127.0.0.1:${admin}/ready`).then(
        (answer) => answer.status,
        () => 0,
      );
      if (status === 200) break;
      assert.ok(Date.now() < deadline && envoy.process.exitCode === null, envoy.stderr);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
  after(async () => {
    agent.destroy();
    await envoy?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [index, kind] of [
    'as it stands',
    'with a default host',
    'ports and dots stripped',
    'ports ignored',
  ].entries()) {
    it(kind, async () => {
      let told = 0;
      for (const asked of REQUESTS) {
        const [name, path, headers = {}, method = 'GET'] = asked;
        const flat = Object.entries(headers).flatMap(([key, value]) =>
          [value].flat().flatMap((one) => [key.toLowerCase(), one]),
        );
        const fields = new HeaderFields([':method', method, ':path', path, ':authority', name, ...flat]);
        const choice = chooseRoute(model, model.tables[index]!, {
          host: name,
          path,
          method,
          scheme: 'http',
          headers: fields,
        });
        const real = await ask(ports[index + 1] as number, asked);
        const label = `${name}${path} ${JSON.stringify(headers)}`;
        if (choice.kind === 'unknown') {
          const copies = choice.why.includes('more than once');
          assert.ok(LEFT_TO_ENVOY.test(path) || copies, `${label}: ${choice.why}; Envoy took ${real}`);
          continue;
        }
        told++;
        assert.equal(choice.kind === 'route' ? choice.uses[0]!.name : 'status 404', real, label);
      }
      assert.ok(told >= REQUESTS.length - 6, `only ${told} of ${REQUESTS.length} were told`);
    });
  }
});
