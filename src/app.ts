import { buildGeneration } from './app/generation.ts';
import { InUse } from './app/in-use.ts';
import { createProcessParts, type Process } from './app/process.ts';
import { type Load, Reloader, type Valid } from './app/reloader.ts';
import { FileWatch, stateOf } from './config/file-watch.ts';
import type { Config } from './config/schema.ts';
import { Departure } from './envoy/departure.ts';
import { createProcess } from './envoy/ext-proc.ts';
import { createHealthService } from './envoy/health.ts';
import { startGrpc } from './envoy/server.ts';
import { adminRoutes } from './http/admin-routes.ts';
import { startHttp } from './http/server.ts';
import { Health } from './observe/health.ts';

/** The running service. */
export interface App {
  /** Where it really listens: port 0 is replaced. */
  readonly addresses: { readonly grpc: string; readonly http: string; readonly admin: string };
  /**
   * Reads the configuration anew; wrong ones change nothing. Files that it names are read anew by themselves.
   * @param why who asked, for the log
   */
  reload(why: string): Promise<void>;
  /** Says NOT_SERVING, lets calls in flight finish, closes everything. */
  stop(why: string): Promise<void>;
}

/** How long calls in flight may take to finish once the service is told to stop. */
const DRAIN_LIMIT_MS = 25_000;
/** How long calls are taken after that, until Envoy has noticed. */
const LINGER_LIMIT_MS = 2_500;
/** Room for the attributes around a body in one gRPC message. */
const MESSAGE_OVERHEAD = 1024 * 1024;
/** Envoy's buffers are larger than the largest body: what fits into them should be told 413, not fail as a message. */
const BODY_HEADROOM = 2;

/**
 * Builds the service from a valid configuration and starts its listeners. With `app/`, the only place that knows
 * concrete classes: here what lives as long as the process, in `app/generation.ts` what a configuration decides about.
 * @param checked what the files said
 * @param load says it anew
 * @throws when a listener cannot be bound
 */
export async function startApp(checked: Valid, load: Load): Promise<App> {
  const { config, envoy } = checked;
  const seen = stateOf(checked.files);
  const house = await createProcessParts(config);
  const { log } = house;
  const health = new Health();
  const first = await buildGeneration(house, config, envoy, undefined);
  const inUse = new InUse(first, log, house.tracing);
  const reloader = new Reloader(house, inUse, checked, load);
  const departure = new Departure();
  const listeners = await listen(house, config, inUse, reloader, health, departure);
  void first.warm();
  await first.routes.envoy.watch();
  health.set(undefined);
  log.info('serving', listeners.addresses);

  const reload = async (why: string): Promise<void> => {
    const { state } = await reloader.reload(why);
    watch.watch(reloader.files, state);
  };
  const watch = new FileWatch({ onChange: () => void reload('files changed') });
  watch.watch(reloader.files, seen);
  return {
    addresses: listeners.addresses,
    reload,
    async stop(why) {
      watch.close();
      reloader.close();
      health.set('shutting down');
      log.info('draining', { why });
      await departure.everybodyKnows(LINGER_LIMIT_MS);
      await listeners.close();
      inUse.close();
      await house.refreshMemory.close();
      await house.vaults.close();
      house.audit.flush();
      await house.tracing.close();
      log.info('stopped');
    },
  };
}

async function listen(
  { log, metrics, tools }: Process,
  { server, limits }: Config,
  inUse: InUse,
  reloader: Reloader,
  health: Health,
  departure: Departure,
): Promise<Pick<App, 'addresses'> & { close(): Promise<void> }> {
  const grpc = await startGrpc(
    {
      address: server.grpc,
      transport: server.grpcTransport,
      tls: server.grpcTls,
      maxMessage: BODY_HEADROOM * limits.maxBody + MESSAGE_OVERHEAD,
    },
    {
      check: inUse.check,
      process: createProcess(inUse.newCarrier, tools),
      health: createHealthService(health, (peer, ready) => departure.asked(peer, ready, performance.now())),
    },
    log,
  );
  const http = await startHttp(server.http, [inUse.handler], log);
  const admin = await startHttp(
    server.admin,
    [
      adminRoutes({
        rejected: () => reloader.rejected.length,
        readiness: async () => health.reason ?? inUse.generation.trouble(),
        metrics: async () => ({ contentType: metrics.contentType, text: await metrics.text() }),
      }),
    ],
    log,
  );
  return {
    addresses: { grpc: grpc.address, http: http.address, admin: admin.address },
    async close() {
      await grpc.drain(DRAIN_LIMIT_MS);
      // A person who comes back from a provider gets an answer: the code in that link works once.
      await Promise.all([http.close(10_000), admin.close(1_000)]);
    },
  };
}
