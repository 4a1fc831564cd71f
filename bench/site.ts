import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../test/support/child.ts';
import { send } from '../test/support/http.ts';
import { type FakeIssuer, startIssuer } from '../test/support/issuer.ts';
import { freePorts } from '../test/support/ports.ts';
import { envoyBinary } from '../test/support/stack.ts';
import type { TestKey } from '../test/support/vault-tools.ts';
import { backendEnvoy, type BenchPorts, benchEnvoy } from './envoy.ts';
import { seedGrants } from './seed-grants.ts';
import { type Listener, PROVIDER, RESOURCE, type Service } from './variants.ts';

export interface SiteOptions {
  /** Folder of the checkout that each service runs from. */
  readonly services: ReadonlyMap<Service, string>;
  /** The Go peer; undefined leaves it out. */
  readonly goPeer: string | undefined;
  /** Write a CPU profile of our service there when it ends. */
  readonly profileTo?: string;
  readonly grants: number;
}

/** Everything that is measured, running. */
export interface Site {
  readonly folder: string;
  readonly issuer: FakeIssuer;
  urlOf(listener: Listener): string;
  /** Who decides behind that listener; undefined where Envoy does it alone. */
  deciderOf(listener: Listener): Child | undefined;
  readonly envoy: Child;
  readonly backend: Child;
  /** Prometheus text of a service. */
  metrics(service: Service): Promise<string>;
  stop(): Promise<void>;
}

const LISTENERS: readonly Listener[] = ['plain', 'jwt_authn', 'jwt_authn_cache', 'go', 'go_cache'];
const NO_ENVOY_LIMITS = ['--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'warning'];

export async function startSite(options: SiteOptions): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'emi-bench-'));
  const services = [...options.services.keys()];
  const listeners = [
    ...LISTENERS,
    ...services.flatMap((service): Listener[] => [`${service}_authz`, `${service}_authz_proc`]),
  ];
  const free = await freePorts(5 + listeners.length + 3 * services.length);
  const port = () => free.pop() as number;
  const ports: BenchPorts = {
    admin: port(),
    backend: port(),
    backendAdmin: port(),
    listeners: new Map(listeners.map((listener) => [listener, port()])),
    services: new Map(services.map((service) => [service, { grpc: port(), http: port() }])),
    peers: new Map(
      options.goPeer
        ? [
            ['go', port()],
            ['go_cache', port()],
          ]
        : [],
    ),
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

  try {
    const jwks = JSON.stringify({ keys: issuer.jwks() });
    const { running, own } = benchEnvoy(ports, issuer.issuer, jwks);
    for (const [service, checkout] of options.services) {
      const home = join(folder, service);
      mkdirSync(home);
      const key: TestKey = { id: 'k1', bytes: randomBytes(32) };
      await seedGrants(join(home, 'vault.db'), key, issuer.issuer, options.grants);
      const { grpc, http } = ports.services.get(service) as { grpc: number; http: number };
      const config = file(join(service, 'sidecar.yaml'), {
        server: { grpc: `127.0.0.1:${grpc}`, http: `127.0.0.1:${http}`, admin: `127.0.0.1:${admins.get(service)}` },
        publicUrl: urlOf(`${service}_authz`),
        envoy: { bootstrap: file(join(service, 'envoy.json'), own.get(service)) },
        audit: { destination: 'file:./audit.jsonl' },
        ...serviceConfig(issuer.issuer, key),
      });
      const profile =
        service === 'ours' && options.profileTo
          ? ['--cpu-prof', '--cpu-prof-interval', '500', '--cpu-prof-dir', options.profileTo]
          : [];
      const main = join(checkout, 'src', 'main.ts');
      const child = run(service, process.execPath, [...profile, main, 'serve', '--config', config]);
      await child.until(() => child.stderr.includes('"message":"serving"'));
    }
    for (const [name, at] of ports.peers) {
      const args = [
        '-listen',
        `127.0.0.1:${at}`,
        '-jwks',
        issuer.jwksUri,
        '-issuer',
        issuer.issuer,
        '-audience',
        RESOURCE,
      ];
      const child = run(name, options.goPeer as string, name === 'go_cache' ? [...args, '-cache'] : args);
      await child.until(() => child.stdout.includes('listening'));
    }
    const backend = run('backend', envoyBinary(), [
      '-c',
      file('backend.json', backendEnvoy(ports)),
      ...NO_ENVOY_LIMITS,
    ]);
    await listening(`http://127.0.0.1:${ports.backendAdmin}/ready`, backend);
    const envoy = run('envoy', envoyBinary(), ['-c', file('envoy.json', running), ...NO_ENVOY_LIMITS]);
    await listening(`http://127.0.0.1:${ports.admin}/ready`, envoy);
    return {
      folder,
      issuer,
      urlOf,
      deciderOf: (listener) => children.get(listener) ?? children.get(listener.split('_', 1)[0] as string),
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
function serviceConfig(issuer: string, key: TestKey): object {
  const base64 = key.bytes.toString('base64');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    incomingAuth: { corp: { type: 'jwt', issuer, audience: [RESOURCE] } },
    upstreamProviders: {
      [PROVIDER]: {
        issuer: 'http://127.0.0.1:9', // never asked: grants stay fresh for hours
        authorizationEndpoint: 'http://127.0.0.1:9/authorize',
        tokenEndpoint: 'http://127.0.0.1:9/token',
        clientId: 'bench',
        clientSecret: 'bench-secret',
      },
    },
    vault: { store: 'sqlite:./vault.db', keys: [{ id: key.id, key: base64 }] },
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

/** Asks again until the answer is 200, for at most 15 s. */
async function listening(url: string, child: Child): Promise<void> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const status = await send(url, { limitMs: 2_000 }).then(
      (answer) => answer.status,
      () => 0, // not listening yet
    );
    if (status === 200) return;
    if (Date.now() > deadline || child.process.exitCode !== null)
      throw new Error(`${url} did not answer\n${child.stderr.slice(-4000)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
