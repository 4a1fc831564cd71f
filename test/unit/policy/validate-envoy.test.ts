// What overrides, spellings and other people's filters mean; each mistake is in test/mutation.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { worldOf } from '../../../src/config/world.ts';
import { readEnvoyConfig } from '../../../src/policy/envoy-config/read.ts';
import { canonicalJson } from '../../../src/policy/resolve.ts';
import { type EnvoyValidation, validateEnvoy } from '../../../src/policy/validate-envoy.ts';
import { EnvoyHandle } from '../../mutation/mutation.ts';
import { GOOD_ENV, goodPair, type Loose } from '../../support/good-pair.ts';

const AUTHZ = 'envoy.filters.http.ext_authz';
const PROC = 'envoy.filters.http.ext_proc';
const ROUTE_AUTHZ = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute';
const ROUTE_PROC = 'type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute';
const FILTER_CONFIG = 'type.googleapis.com/envoy.config.route.v3.FilterConfig';

const loaded = loadConfig(join(import.meta.dirname, '../../config/good/full.sidecar.yaml'), GOOD_ENV);
assert.ok(loaded.ok);
const world = worldOf(loaded.config);

function judge(value: unknown): EnvoyValidation {
  const model = readEnvoyConfig({ file: 'envoy.yaml', value, lineOf: () => undefined });
  assert.ok('routes' in model);
  return validateEnvoy(model, world, { maxBody: 4_194_304, grpcAddress: '127.0.0.1:9191' });
}

function codes(change: (envoy: EnvoyHandle) => unknown): string[] {
  const { envoy } = goodPair();
  change(new EnvoyHandle(envoy));
  return judge(envoy).problems.map(({ code, message }) => `${code} ${message}`);
}

describe('overrides', () => {
  const off = { '@type': ROUTE_AUTHZ, disabled: true };

  test('the route has the last word', () => {
    const found = codes((e) => {
      e.virtualHost.typed_per_filter_config = { [AUTHZ]: off };
      for (const route of e.virtualHost.routes.slice(3))
        route.typed_per_filter_config = { [AUTHZ]: { '@type': ROUTE_AUTHZ, check_settings: {} } };
    });
    assert.deepEqual(found, []);
  });

  test('a bare switch turns on what is off by default', () => {
    const found = codes((e) => {
      e.filters[0].disabled = true;
      e.virtualHost.typed_per_filter_config = { [AUTHZ]: { '@type': FILTER_CONFIG, config: {} } };
    });
    assert.deepEqual(found, []);
  });

  test('a bare switch leaves the settings to the next level', () => {
    const found = codes((e) => {
      e.virtualHost.typed_per_filter_config = {
        [AUTHZ]: { '@type': ROUTE_AUTHZ, check_settings: { disable_request_body_buffering: true } },
      };
      e.route('claims').typed_per_filter_config = { [AUTHZ]: { '@type': FILTER_CONFIG, config: {} } };
    });
    assert.match(found.join(), /V-23 .*switches buffering off \(route github and 2 more\)/);
  });

  test('a wrapped message counts like a bare one', () => {
    const found = codes(
      (e) => (e.route('claims').typed_per_filter_config = { [AUTHZ]: { '@type': FILTER_CONFIG, config: off } }),
    );
    assert.match(found.join('\n'), /^V-25 .*disabled for it \(route claims\)$/);
  });

  test('the name of the filter is what counts, not its type', () => {
    const found = codes((e) => {
      e.filters[0].name = 'identity';
      for (const route of e.virtualHost.routes.slice(0, 3)) route.typed_per_filter_config = { identity: off };
    });
    assert.deepEqual(found, []);
  });

  test('ext_proc takes each setting from the most specific level that has it', () => {
    const found = codes((e) => {
      e.virtualHost.typed_per_filter_config = {
        [PROC]: { '@type': ROUTE_PROC, overrides: { failure_mode_allow: true } },
      };
      e.manager.route_config.typed_per_filter_config = {
        [PROC]: { '@type': ROUTE_PROC, overrides: { processing_mode: { request_header_mode: 'SKIP' } } },
      };
      const sane = { failure_mode_allow: false, processing_mode: { request_header_mode: 'SEND' } };
      for (const name of ['github', 'aws'])
        e.route(name).typed_per_filter_config = { [PROC]: { '@type': ROUTE_PROC, overrides: sane } };
      e.route('aws').typed_per_filter_config[PROC].overrides = { failure_mode_allow: false };
    });
    assert.deepEqual(found, ['V-22 ext_proc does not see requests (route aws)']);
  });
});

describe('spellings', () => {
  const camel = (name: string) =>
    name.includes('.') || name.startsWith('@')
      ? name
      : name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const respell = (value: Loose): Loose => {
    if (Array.isArray(value)) return value.map(respell);
    if (typeof value !== 'object' || value === null) return value;
    // What is below filter_metadata is data, not fields.
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [camel(key), key === 'filter_metadata' ? item : respell(item)]),
    );
  };

  test('camel case is read like snake case', () => {
    const { envoy } = goodPair();
    assert.deepEqual(judge(respell(envoy)).problems, []);
    new EnvoyHandle(envoy).authz.failure_mode_allow = true;
    const [problem, ...more] = judge(respell(envoy)).problems;
    assert.equal(more.length, 0);
    assert.equal(problem?.path.at(-1), 'failureModeAllow');
  });

  test('a TypedStruct is read like the message it stands for', () => {
    const wrap = (message: Loose) => {
      const { '@type': type, ...value } = message;
      return { '@type': 'type.googleapis.com/xds.type.v3.TypedStruct', type_url: type, value };
    };
    assert.deepEqual(
      codes((e) => (e.filters[0].typed_config = wrap(e.authz))),
      [],
    );
    assert.match(codes((e) => (e.filters[0].typed_config = wrap({ ...e.authz, shadow_mode: true }))).join(), /^V-21/);
  });

  test('routes in a matcher tree are routes', () => {
    const found = codes((e) => {
      const action = {
        name: 'route',
        typed_config: { '@type': 'type.googleapis.com/envoy.config.route.v3.RouteList', routes: e.virtualHost.routes },
      };
      e.virtualHost.matcher = { on_no_match: { action } };
      delete e.route('claims').metadata;
      delete e.virtualHost.routes;
    });
    assert.match(found.join(), /^V-20 the route claims /);
  });
});

describe('what a dump shows', () => {
  const admin = (name: string, fields: Loose) => ({ '@type': `type.googleapis.com/envoy.admin.v3.${name}`, ...fields });
  /** The good configuration as `/config_dump` shows it. */
  const dumpOf = (e: EnvoyHandle, ...more: Loose[]) => {
    const { static_resources: resources, ...bootstrap } = e.root;
    return {
      configs: [
        admin('BootstrapConfigDump', { bootstrap }),
        admin('ClustersConfigDump', { static_clusters: resources.clusters.map((cluster: Loose) => ({ cluster })) }),
        admin('ListenersConfigDump', {
          dynamic_listeners: [{ active_state: { listener: e.listener } }, { warming_state: { listener: {} } }],
        }),
        ...more,
      ],
    };
  };
  const found = (change: (e: EnvoyHandle) => Loose[]) => {
    const handle = new EnvoyHandle(goodPair().envoy);
    const more = change(handle);
    const { problems, routeCount } = judge(dumpOf(handle, ...more));
    return [...problems.map(({ code, message }) => `${code} ${message}`), `${routeCount} routes`];
  };

  test('all of it', () =>
    assert.deepEqual(
      found(() => []),
      ['10 routes'],
    ));

  test('filters that Envoy fetched', () => {
    const fetched = (more: Loose) => (e: EnvoyHandle) => {
      const ecds_filter = { name: AUTHZ, typed_config: { ...e.authz, ...more } };
      e.filters[0] = { name: AUTHZ, config_discovery: { config_source: {}, type_urls: ['x'] } };
      return [admin('EcdsConfigDump', { ecds_filters: [{ ecds_filter }] })];
    };
    assert.deepEqual(found(fetched({})), ['10 routes']);
    assert.match(found(fetched({ failure_mode_allow: true })).join(), /^V-21 .*failure_mode_allow/);
  });

  test('route tables by name, and those of scopes', () => {
    const tables = (e: EnvoyHandle, source: Loose) => {
      const route_config = {
        '@type': 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
        name: 'sent',
        ...e.manager.route_config,
      };
      delete e.manager.route_config;
      Object.assign(e.manager, source);
      return [admin('RoutesConfigDump', { dynamic_route_configs: [{ route_config }] })];
    };
    const scopes = {
      scoped_route_configurations_list: {
        scoped_route_configurations: [{ name: 's', route_configuration_name: 'sent' }],
      },
    };
    assert.deepEqual(
      found((e) => tables(e, { rds: { route_config_name: 'sent' } })),
      ['10 routes'],
    );
    assert.deepEqual(
      found((e) => tables(e, { scoped_routes: scopes })),
      ['10 routes'],
    );
    assert.match(
      found((e) => tables(e, { rds: { route_config_name: 'other' } })).join(),
      /^V-31 the route table `other` .*,0 routes$/,
    );
    assert.match(
      found((e) => tables(e, { scoped_routes: { scoped_rds: {} } })).join(),
      /^V-31 route scopes .*,0 routes$/,
    );
  });

  test('nothing of a runtime that was left out', () => {
    const handle = new EnvoyHandle(goodPair().envoy);
    const dump = dumpOf(handle);
    dump.configs.shift();
    assert.deepEqual(
      judge(dump).problems.map(({ code }) => code),
      ['V-24'],
    );
  });

  test('network filters that Envoy fetched are not seen', () => {
    const unseen = found((e) => (e.listener.filter_chains[0].filters.unshift({ name: 'x', config_discovery: {} }), []));
    assert.match(unseen.join(), /^V-31 a network filter /);
  });
});

describe('filters of others', () => {
  const foreign = {
    name: 'waf',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz',
      failure_mode_allow: true,
      http_service: {},
    },
  };

  test('are left alone', () =>
    assert.deepEqual(
      codes((e) => e.filters.unshift(foreign)),
      [],
    ));

  test('do not protect our routes', () => {
    const found = codes((e) => {
      e.filters.unshift(foreign);
      e.route('claims').typed_per_filter_config = { [AUTHZ]: { '@type': ROUTE_AUTHZ, disabled: true } };
    });
    assert.match(found.join(), /^V-25 .*\(route claims\)$/);
  });

  test('on a listener without policies are none of ours', () => {
    const found = codes((e) => {
      const other = structuredClone(e.listener);
      const manager = other.filter_chains[0].filters[0].typed_config;
      manager.http_filters = [foreign, e.filters[2]];
      manager.route_config.virtual_hosts[0].routes = [{ match: { prefix: '/' }, route: { cluster: 'backend' } }];
      e.root.static_resources.listeners.push(other);
    });
    assert.deepEqual(found, []);
  });

  test('that call server.grpc are ours, whatever else is wrong with them', () => {
    const found = codes((e) => {
      e.filters.unshift(foreign);
      delete e.authz.route_metadata_context_namespaces;
    });
    assert.match(found.join(), /^V-21 ext_authz does not forward[^,]*$/);
  });

  test('that call it by another cluster with the same endpoint are ours too', () => {
    const found = codes((e) => {
      const clusters = e.root.static_resources.clusters;
      const other = structuredClone(clusters[0]);
      // Neither is `server.grpc`: a service in another container.
      for (const cluster of [clusters[0], other]) {
        cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address = 'identity';
      }
      other.name = 'identity_proc';
      clusters.push(other);
      e.proc.grpc_service.envoy_grpc.cluster_name = 'identity_proc';
    });
    assert.deepEqual(found, []);
  });

  test('that call it by its address are ours too', () => {
    const found = codes((e) => {
      e.proc.grpc_service = { google_grpc: { target_uri: 'localhost:9191', stat_prefix: 'x' }, timeout: '5s' };
    });
    assert.deepEqual(found, []);
  });
});

describe('proofs', () => {
  const policyOf = (e: EnvoyHandle, name: string) => canonicalJson(e.policy(name));
  const proofs = (change: (envoy: EnvoyHandle) => unknown) => {
    const { envoy } = goodPair();
    change(new EnvoyHandle(envoy));
    return judge(envoy).proofs;
  };
  const github = policyOf(new EnvoyHandle(goodPair().envoy), 'github');

  test('a policy is proved where ext_proc can carry it out', () =>
    assert.deepEqual(proofs(() => {}).get(github), { extProc: true }));

  const withoutProc = { [PROC]: { '@type': ROUTE_PROC, disabled: true } };
  const second = (e: EnvoyHandle): Loose => ({
    ...e.route('github'),
    match: { path: '/other' },
    typed_per_filter_config: withoutProc,
  });
  const unproved: [name: string, change: (e: EnvoyHandle) => unknown][] = [
    ['ext_proc fails open', (e) => (e.proc.failure_mode_allow = true)],
    ['there is no ext_proc', (e) => e.filters.splice(1, 1)],
    ['ext_authz is off', (e) => (e.filters[0].disabled = true)],
    ['one of its routes has no ext_proc', (e) => e.virtualHost.routes.push(second(e))],
    ['one of its routes comes first and has no ext_proc', (e) => e.virtualHost.routes.unshift(second(e))],
  ];
  for (const [name, change] of unproved)
    test(`not when ${name}`, () => assert.equal(proofs(change).get(github)?.extProc, false));
});

test('10,000 routes with policies of their own', () => {
  const { envoy } = goodPair();
  const handle = new EnvoyHandle(envoy);
  const [claims] = [handle.route('claims')];
  for (let i = 0; i < 10_000; i++) {
    const route = structuredClone(claims);
    route.name = `r${i}`;
    Object.assign(route.metadata.filter_metadata['mcp.identity'], {
      backend: `b${i}`,
      resource: `https://mcp.example.com/r${i}`,
    });
    handle.virtualHost.routes.push(route);
  }
  handle.authz.encode_raw_headers = false;
  const before = process.cpuUsage();
  const { problems, routeCount, policies } = judge(envoy);
  const seconds = process.cpuUsage(before).user / 1e6;
  assert.equal(routeCount, 10_010);
  assert.equal(policies.length, 10_007);
  assert.equal(problems.length, 1, 'what all routes suffer from is told once');
  assert.ok(seconds < 10, `${seconds} s`); // about 1 s on an idle machine
});

describe('what clients can do with paths and trailers', () => {
  const strict = { normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: 'REJECT_REQUEST' };

  test('paths are of no matter where each is matched exactly, or all have one policy, or are made plain', () => {
    assert.deepEqual(
      codes((e) => (e.route('claims').match = { path: '/claims//mcp' })),
      [],
    );
    assert.deepEqual(
      codes((e) => {
        const claims = { ...e.route('claims'), match: { prefix: '/claims/' } };
        e.virtualHost.routes = [...e.virtualHost.routes.slice(0, 3), claims, { ...claims, match: { prefix: '/x/' } }];
      }),
      [],
    );
    assert.deepEqual(
      codes((e) => ((e.route('claims').match = { prefix: '/a' }), Object.assign(e.manager, strict))),
      [],
    );
    const other = { name: 'other', domains: ['other.example.com'] };
    assert.deepEqual(
      codes((e) => {
        const claims = { ...e.route('claims'), match: { prefix: '/claims/' } };
        e.virtualHost.routes = e.virtualHost.routes.filter((route: { name?: string }) => route.name !== 'claims');
        e.manager.route_config.virtual_hosts.push({ ...other, routes: [claims] });
      }),
      [],
      'a path leads to no other host',
    );
  });

  test('a proxy that is known by its certificate may come through the PROXY protocol', () => {
    const { sidecar, envoy } = goodPair();
    assert.ok(sidecar.incomingAuth.mesh.trustedPeers.length > 0);
    const byName = new Map(world.methods).set('mesh', { type: 'trusted_proxy', headers: [], trustsAddresses: false });
    envoy.static_resources.listeners[0].listener_filters = [
      {
        name: 'p',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol',
        },
      },
    ];
    const model = readEnvoyConfig({ file: 'envoy.yaml', value: envoy, lineOf: () => undefined });
    assert.ok('routes' in model);
    const judged = (methods: typeof world.methods) =>
      validateEnvoy(model, { ...world, methods }, { maxBody: 4_194_304, grpcAddress: '127.0.0.1:9191' }).problems;
    assert.deepEqual(judged(byName), []);
    assert.deepEqual(
      judged(world.methods).map(({ code }) => code),
      ['V-34'],
    );
  });
});
