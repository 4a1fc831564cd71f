import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { answering } from './answering.ts';
import { type Backend, startBackend } from './backend.ts';
import { Child } from './child.ts';
import { type EnvoyOptions, envoyConfig, type TestRoute } from './envoy-config.ts';
import { send } from './http.ts';
import { freePorts } from './ports.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** For an Envoy that another one takes over from: each drains as its own command line says, in 10 minutes by default. */
export const DRAIN_SECONDS = 3;

export interface StackOptions extends EnvoyOptions {
  /** Gets the origin that clients use. */
  readonly routes: (origin: string) => readonly TestRoute[];
  /** Config file without server, publicUrl and envoy, which are filled in; those given here win. */
  readonly config: Record<string, unknown>;
  /** Further keys of `server`. */
  readonly server?: Record<string, unknown>;
  readonly env?: NodeJS.ProcessEnv;
  readonly replicas?: number;
  /** Routes come from `routes.json` in the stack's folder, by RDS. */
  readonly rds?: boolean;
  /** Let the service look at the running Envoy. */
  readonly liveAdmin?: boolean;
  /** Let the service validate the Envoy file at start; default true. */
  readonly validate?: boolean;
  /** Give Envoy this base id, so that another one can take over from it; default: one that nobody else has. */
  readonly baseId?: number;
}

export interface AuditLine {
  readonly event: string;
  readonly outcome: string;
  readonly reason: string;
  readonly [field: string]: any;
}

/** A real Envoy, the service and a recording backend. */
export interface Stack {
  /** What clients use, such as `http://127.0.0.1:12345`. */
  readonly origin: string;
  readonly adminUrl: string;
  readonly envoyAdmin: string;
  /** Where each replica takes gRPC calls. */
  readonly grpcPorts: readonly number[];
  readonly backend: Backend;
  readonly services: Child[];
  readonly envoy: Child;
  readonly folder: string;
  /** Ports of the further `listeners`, in their order. */
  readonly extraPorts: readonly number[];
  /** Audit lines so far, of every replica. */
  audit(): AuditLine[];
  /** The audit line of that request id, as soon as it is there. */
  auditOf(requestId: string): Promise<AuditLine>;
  /** Starts one more process of the service in place of replica `index`. */
  restartService(index?: number): Promise<void>;
  metrics(): Promise<string>;
  stop(): Promise<void>;
}

/** The Envoy binary that the test runner found. */
export function envoyBinary(): string {
  const binary = process.env['ENVOY_BIN'];
  if (!binary) throw new Error('ENVOY_BIN is not set: run the tests with `npm test`, which finds an Envoy');
  return binary;
}

export async function startStack(options: StackOptions): Promise<Stack> {
  const folder = mkdtempSync(join(tmpdir(), 'emi-test-'));
  const backend = await startBackend();
  const replicas = options.replicas ?? 1;
  const { listeners = [] } = options;
  const ports = await freePorts(2 + replicas * 3 + listeners.length);
  const [listen, admin, ...rest] = ports as [number, number, ...number[]];
  const extraPorts = rest.slice(replicas * 3);
  const origin = `http://127.0.0.1:${listen}`;
  const grpc = rest.slice(0, replicas);
  const http = rest.slice(replicas, 2 * replicas);
  const serviceAdmin = rest.slice(2 * replicas, 3 * replicas);

  const envoyFile = join(folder, 'envoy.json');
  const config = envoyConfig(
    { listen, admin, backend: backend.port, grpc, http: http[0] as number },
    options.routes(origin),
    {
      ...options,
      ...(options.rds ? { rdsFile: join(folder, 'routes.json') } : {}),
      listeners: listeners.map((listener, i) => ({ ...listener, port: extraPorts[i] as number })),
    },
  );
  writeFileSync(envoyFile, JSON.stringify(config, null, 1));

  const startService = async (index: number): Promise<Child> => {
    const file = join(folder, `sidecar-${index}.yaml`);
    const content = {
      server: {
        grpc: `127.0.0.1:${grpc[index]}`,
        http: `127.0.0.1:${http[index]}`,
        admin: `127.0.0.1:${serviceAdmin[index]}`,
        ...options.server,
      },
      publicUrl: origin,
      envoy: {
        ...(options.validate === false ? {} : { bootstrap: envoyFile }),
        ...(options.liveAdmin ? { admin: `http://127.0.0.1:${admin}` } : {}),
      },
      ...options.config,
    };
    writeFileSync(file, JSON.stringify(content)); // JSON is YAML
    const child = new Child(`service ${index}`, process.execPath, [MAIN, 'serve', '--config', file], options.env);
    await child.until(() => child.stderr.includes('"message":"serving"'));
    return child;
  };

  const services: Child[] = [];
  let envoy: Child | undefined;
  const stop = async () => {
    await envoy?.stop('SIGTERM');
    await Promise.all(services.map((service) => service.stop('SIGTERM')));
    await backend.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (let i = 0; i < replicas; i++) services.push(await startService(i));
    if (options.rds) {
      const none = {
        '@type': 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
        name: 'live',
        virtual_hosts: [],
      };
      writeFileSync(join(folder, 'routes.json'), JSON.stringify({ version_info: '0', resources: [none] }));
    }
    envoy = new Child('envoy', envoyBinary(), [
      '-c',
      envoyFile,
      ...(options.baseId === undefined
        ? ['--use-dynamic-base-id']
        : ['--base-id', String(options.baseId), '--drain-time-s', String(DRAIN_SECONDS)]),
      '--concurrency',
      '1',
      '--log-level',
      'warning',
    ]);
    const running = envoy;
    await answering(`http://127.0.0.1:${admin}/ready`, running, isUp);
    await answering(`${origin}/.well-known/oauth-protected-resource/none`, running, isUp);
  } catch (error) {
    await stop();
    throw error;
  }

  const audit = () =>
    services.flatMap((service) => service.stdout.split('\n').slice(0, -1)).map((line) => JSON.parse(line) as AuditLine);
  return {
    origin,
    extraPorts,
    adminUrl: `http://127.0.0.1:${serviceAdmin[0]}`,
    envoyAdmin: `http://127.0.0.1:${admin}`,
    grpcPorts: grpc,
    backend,
    services,
    envoy,
    folder,
    audit,
    auditOf: async (requestId) => {
      const found = services.map((service) =>
        service.until(() =>
          service.stdout
            .split('\n')
            .slice(0, -1)
            .map((line) => JSON.parse(line) as AuditLine)
            .find((line) => line['request_id'] === requestId),
        ),
      );
      for (const promise of found) promise.catch(() => {});
      return Promise.any(found);
    },
    restartService: async (index = 0) => {
      services[index] = await startService(index);
    },
    metrics: async () => (await send(`http://127.0.0.1:${serviceAdmin[0]}/metrics`)).body,
    stop,
  };
}

/** A 404 will do: the service has answered through Envoy. */
const isUp = (status: number): boolean => status < 500;
