import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answering } from '../test/support/answering.ts';
import { Child } from '../test/support/child.ts';
import { send } from '../test/support/http.ts';
import { type FakeIssuer, startIssuer } from '../test/support/issuer.ts';
import { freePorts } from '../test/support/ports.ts';
import { envoyBinary } from '../test/support/stack.ts';
import type { TestKey } from '../test/support/vault-tools.ts';
import { backendEnvoy, type BenchPorts, benchEnvoy } from './envoy.ts';
import { seedGrants, type Seeding } from './seed-grants.ts';
import { type Listener, type Peer, PROVIDER, RESOURCE, type Service } from './variants.ts';

export interface SiteOptions {
  /** Folder of the checkout that each service runs from, built. */
  readonly services: ReadonlyMap<Service, string>;
  /** Listeners that are asked. */
  readonly listeners: ReadonlySet<Listener>;
  /** How to start each peer that takes part, without its options. */
  readonly peers: ReadonlyMap<Peer, readonly string[]>;
  /** Largest body that is read. */
  readonly maxBodyMiB: number;
  /** Write a CPU profile of our service there when it ends. */
  readonly profileTo?: string;
  readonly grants: Pick<Seeding, 'count' | 'expiresAtMs' | 'tell'>;
  /** Vault of all services; default: an SQLite file for each. */
  readonly store?: string;
  /** Where grants are refreshed; default: nowhere, they stay fresh for hours. */
  readonly tokenEndpoint?: string;
}

/** Everything that is measured, running. */
export interface Site {
  readonly folder: string;
  readonly issuer: FakeIssuer;
  /** Key of the vaults. */
  readonly key: TestKey;
  /** Configuration file of a service. */
  configOf(service: Service): string;
  /** How long the first process of our service took until it served. */
  readonly startSeconds: number;
  urlOf(listener: Listener): string;
  /** Who decides behind that listener; none where Envoy does it alone. */
  decidersOf(listener: Listener): readonly Child[];
  readonly envoy: Child;
  readonly backend: Child;
  /** Prometheus text of a service. */
  metrics(service: Service): Promise<string>;
  stop(): Promise<void>;
}

const NO_ENVOY_LIMITS = ['--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'warning'];

export async function startSite(options: SiteOptions): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'emi-bench-'));
  const services = [...options.services.keys()];
  const listeners = [
    ...new Set<Listener>([
      'plain',
      'jwt_authn',
      'jwt_authn_cache',
      ...options.peers.keys(),
      ...services.flatMap((service): Listener[] => [`${service}_authz`, `${service}_authz_proc`]),
      ...options.listeners,
    ]),
  ];
  const processesOf = (service: Service) => (service === 'ours' && options.listeners.has('ours_two') ? 2 : 1);
  const free = await freePorts(3 + listeners.length + options.peers.size + 6 * services.length);
  const port = () => free.pop() as number;
  const ports: BenchPorts = {
    admin: port(),
    backend: port(),
    backendAdmin: port(),
    listeners: new Map(listeners.map((listener) => [listener, port()])),
    services: new Map(
      services.map((service) => [
        service,
        { grpc: Array.from({ length: processesOf(service) }, () => port()), http: port() },
      ]),
    ),
    peers: new Map([...options.peers.keys()].map((peer) => [peer, port()])),
  };
  const admins = new Map(services.map((service) => [service, port()]));
  const urlOf = (listener: Listener) => `http://127.0.0.1:${ports.listeners.get(listener)}`;
  const children = new Map<string, Child>();
  const issuer = await startIssuer({ audience: RESOURCE });
  const stop = async () => {
    await Promise.all([...children.values()].map((child) => child.stop('SIGTERM')));
    await issuer.stop();
    rmSync(folder, { recursive: true, force: true });
  };

  const file = (name: string, content: unknown): string => {
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify(content, null, 1));
    return path;
  };
  const run = (name: string, command: string, args: readonly string[]): Child => {
    const child = new Child(name, command, args);
    children.set(name, child);
    return child;
  };

  const key: TestKey = { id: 'k1', bytes: randomBytes(32) };
  let startSeconds = 0;
  try {
    const jwks = JSON.stringify({ keys: issuer.jwks() });
    const { running, own } = benchEnvoy(ports, issuer.issuer, jwks, options.maxBodyMiB * 1_048_576);
    for (const [service, checkout] of options.services) {
      const home = join(folder, service);
      mkdirSync(home);
      const store = options.store ?? `sqlite:${join(home, 'vault.db')}`;
      await seedGrants({ store, key, issuer: issuer.issuer, ...options.grants });
      const { grpc, http } = ports.services.get(service) as { grpc: readonly number[]; http: number };
      const bootstrap = file(join(service, 'envoy.json'), own.get(service));
      const common = serviceConfig(issuer.issuer, key, store, options.tokenEndpoint);
      const profile =
        service === 'ours' && options.profileTo
          ? ['--cpu-prof', '--cpu-prof-interval', '500', '--cpu-prof-dir', options.profileTo]
          : [];
      for (const [i, at] of grpc.entries()) {
        const admin = i === 0 ? admins.get(service) : port();
        const config = file(join(service, `sidecar-${i}.yaml`), {
          server: {
            grpc: `127.0.0.1:${at}`,
            http: `127.0.0.1:${i === 0 ? http : port()}`,
            admin: `127.0.0.1:${admin}`,
          },
          publicUrl: urlOf(`${service}_authz`),
          limits: { maxBody: `${options.maxBodyMiB}MiB` },
          envoy: { bootstrap },
          audit: { destination: `file:./audit-${i}.jsonl` },
          ...common,
        });
        const main = join(checkout, 'dist', 'main.js');
        const startMs = performance.now();
        const child = run(`${service}-${i}`, process.execPath, [...profile, main, 'serve', '--config', config]);
        await child.until(() => child.stderr.includes('"message":"serving"'), 60_000);
        startSeconds ||= (performance.now() - startMs) / 1_000;
      }
    }
    for (const [name, at] of ports.peers) {
      const [program, ...first] = options.peers.get(name) as readonly [string, ...string[]];
      const where = ['--listen', `127.0.0.1:${at}`, '--jwks', issuer.jwksUri];
      const child = run(name, program, [...first, ...where, '--issuer', issuer.issuer, '--audience', RESOURCE]);
      await child.until(() => child.stdout.includes('listening'));
    }
    const backend = run('backend', envoyBinary(), [
      '-c',
      file('backend.json', backendEnvoy(ports)),
      ...NO_ENVOY_LIMITS,
    ]);
    await answering(`http://127.0.0.1:${ports.backendAdmin}/ready`, backend);
    const envoy = run('envoy', envoyBinary(), ['-c', file('envoy.json', running), ...NO_ENVOY_LIMITS]);
    await answering(`http://127.0.0.1:${ports.admin}/ready`, envoy);
    return {
      folder,
      issuer,
      key,
      configOf: (service) => join(folder, service, 'sidecar-0.yaml'),
      startSeconds,
      urlOf,
      decidersOf(listener) {
        const service = listener.split('_', 1)[0] as string;
        const names = listener === 'ours_two' ? ['ours-0', 'ours-1'] : [listener, `${service}-0`];
        return names.flatMap((name) => children.get(name) ?? []);
      },
      envoy,
      backend,
      metrics: async (service) => (await send(`http://127.0.0.1:${admins.get(service)}/metrics`)).body,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The parts of the service's configuration that the variants use. */
function serviceConfig(
  issuer: string,
  key: TestKey,
  store: string,
  tokenEndpoint = 'http://127.0.0.1:9/token',
): object {
  const base64 = key.bytes.toString('base64');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    incomingAuth: { corp: { type: 'jwt', issuer, audience: [RESOURCE] } },
    upstreamProviders: {
      [PROVIDER]: {
        issuer: new URL(tokenEndpoint).origin,
        authorizationEndpoint: new URL('/authorize', tokenEndpoint).href,
        tokenEndpoint,
        refreshBefore: '15s',
        clientId: 'bench',
        clientSecret: 'bench-secret',
      },
    },
    vault: { store, keys: [{ id: key.id, key: base64 }] },
    connect: { login: { issuer, clientId: 'login', clientSecret: 'bench-secret' }, cookieKeys: [base64] },
    session: { keys: [{ id: 'k1', key: base64 }] },
    signing: {
      current: { jws: 's1', hmac: 'h1' },
      keys: [
        { id: 's1', alg: 'ES256', privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) },
        { id: 'h1', alg: 'HS256', secret: 'a secret of thirty-two bytes or more' },
      ],
    },
  };
}
