import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { startTracing } from './app/tracing.ts';
import { createProofNonces } from './authn/dpop-nonce.ts';
import { createMethods } from './authn/registry.ts';
import { SIGNATURE_ALGORITHMS } from './authn/schema.ts';
import { grpcAddress } from './config/listeners.ts';
import type { Config } from './config/schema.ts';
import { worldOf } from './config/world.ts';
import { systemClock, type Tools } from './core/ports.ts';
import { createSealer, decodeKey, type SealKey } from './core/seal.ts';
import type { Secret } from './core/secret.ts';
import { decodeStruct } from './envoy/codec/struct.ts';
import { StructKeys } from './envoy/codec/struct-key.ts';
import { Departure } from './envoy/departure.ts';
import { createCheck } from './envoy/ext-authz.ts';
import { createProcess } from './envoy/ext-proc.ts';
import { createHealthService } from './envoy/health.ts';
import { startGrpc } from './envoy/server.ts';
import { adminRoutes } from './http/admin-routes.ts';
import { connectRoutes } from './http/connect-routes.ts';
import { jwksRoute, metadataRoutes } from './http/metadata-routes.ts';
import { startHttp } from './http/server.ts';
import { ResourceDirectory } from './mcp/resource-metadata.ts';
import { createSessions } from './mcp/session.ts';
import { createEgress, type EgressFetch } from './net/egress.ts';
import { createAudit } from './observe/audit.ts';
import { Health } from './observe/health.ts';
import { createLog } from './observe/log.ts';
import { createMetrics } from './observe/metrics.ts';
import type { CallMetadata } from './core/trace-context.ts';
import { createDecider } from './pipeline/decide.ts';
import { createFindRoute } from './pipeline/find-route.ts';
import { LiveEnvoy } from './policy/live-envoy.ts';
import { NAMESPACE, type RoutePolicy } from './policy/route-policy.ts';
import type { EnvoyValidation } from './policy/validate-envoy.ts';
import { AwsSts } from './strategies/aws-sts.ts';
import { TokenExchanges } from './strategies/token-exchange.ts';
import { refusedToken } from './strategies/upstream-inject.ts';
import { openAccounts } from './upstream/accounts.ts';
import { createSigners } from './propagation/signers.ts';
import { cookieSealKeys } from './upstream/connect-keys.ts';
import { createLogin } from './upstream/login.ts';
import { openProofMemory } from './upstream/proof-memory.ts';
import { connectLink, createTickets } from './upstream/ticket.ts';

/** The running service. */
export interface App {
  /** Where it really listens: port 0 is replaced. */
  readonly addresses: { readonly grpc: string; readonly http: string; readonly admin: string };
  /** Says NOT_SERVING, lets calls in flight finish, closes everything. */
  stop(why: string): Promise<void>;
}

/** How long calls in flight may take to finish once the service is told to stop. */
const DRAIN_LIMIT_MS = 25_000;
/** How long calls are taken after that, until Envoy has noticed. */
const LINGER_LIMIT_MS = 2_500;
/** A dump of a large Envoy is long. */
const MAX_DUMP = 256 * 1024 * 1024;
/** Room for the attributes around a body in one gRPC message. */
const MESSAGE_OVERHEAD = 1024 * 1024;
/** Envoy's buffers are larger than the largest body: what fits into them should be told 413, not fail as a message. */
const BODY_HEADROOM = 2;

/**
 * Builds the service from a valid configuration and starts its listeners. The only place that knows concrete classes.
 * @throws when a listener cannot be bound
 */
export async function startApp(config: Config, start: Pick<EnvoyValidation, 'policies' | 'proofs'>): Promise<App> {
  const plainLog = createLog(config.log.level);
  const metrics = createMetrics();
  const plainEgress = createEgress({ log: plainLog, metrics });
  const tracing = await startTracing(process.env, plainLog, metrics, plainEgress);
  const log = tracing.log(plainLog);
  const tools: Tools = { log, metrics, clock: systemClock, tracer: tracing.tracer };
  const audit = tracing.audit(createAudit(config.audit.destination, log));
  const health = new Health();
  const egress = tracing.egress(plainEgress);
  const exchanges = new TokenExchanges(config.tokenExchanges, tools, egress);
  const aws = new AwsSts(config.aws.stsEndpoint ?? process.env['AWS_ENDPOINT_URL_STS'], tools, egress);
  const accounts = await openAccounts(config, tools, audit, egress);
  const [sessionKeys, vaultKeys] = [sealKeys(config.session.keys), sealKeys(config.vault.keys)];
  // What one process can do alone may use a key of its own; replicas behind one Envoy share those of the configuration.
  const ownKeys: SealKey[] = [{ id: 'process', key: randomBytes(32) }];
  const firstOf = (...lists: SealKey[][]): SealKey[] => lists.find((keys) => keys.length > 0) ?? ownKeys;
  const proofs = await openProofMemory(config, accounts?.vault, tools);
  const methods = createMethods(config.incomingAuth, tools, egress, {
    publicUrl: config.publicUrl,
    once: proofs.once,
    nonces: createProofNonces(createSealer(firstOf(vaultKeys, sessionKeys), 'dpop-nonce'), systemClock),
    clock: systemClock,
  });

  const directory = new ResourceDirectory();
  const onPolicy = (policy: RoutePolicy): void => {
    if (policy.resource === undefined) return;
    const readers = policy.incomingAuth
      .map((name) => methods.get(name))
      .filter((method) => method?.issuer !== undefined);
    directory.add(policy.resource, {
      issuers: readers.flatMap((method) => method?.issuer ?? []),
      scopes: [...policy.scopes, ...Object.values(policy.tools).flatMap((tool) => tool.scopes)],
      dpopAlgorithms: readers.some((method) => method?.dpop !== undefined) ? SIGNATURE_ALGORITHMS : [],
      dpopRequired: readers.every((method) => method?.dpop === 'required'),
    });
  };
  for (const policy of start.policies) onPolicy(policy);
  const { admin: envoyAdmin } = config.envoy;
  const fetchDump = egress.for('envoy_admin', { timeoutMs: 30_000, maxResponseBytes: MAX_DUMP });
  const world = worldOf(config);
  const envoy = new LiveEnvoy({
    start,
    fetchDump: envoyAdmin === undefined ? undefined : (signal) => readDump(fetchDump, envoyAdmin, signal),
    world,
    limits: { maxBody: config.limits.maxBody, grpcAddress: grpcAddress(config) },
    onChange(policies) {
      directory.clear();
      for (const policy of policies) onPolicy(policy);
      findRoute.reset();
    },
    tools,
  });

  const signers = createSigners(config.signing);
  const structKeys = new StructKeys();
  const findRoute = createFindRoute({
    methods,
    assertions: { signers, publicUrl: config.publicUrl, clock: systemClock },
    strategies: {
      secrets: new Map(Object.entries(config.secrets)),
      refresher: accounts?.refresher,
      exchanges,
      aws,
      tools,
    },
    tools,
    world,
    decode: decodeStruct,
    keyOf: (metadata) => structKeys.keyOf(metadata),
    envoy,
    onPolicy,
  });
  const sessions =
    sessionKeys.length > 0
      ? createSessions(createSealer(sessionKeys, 'session'), config.session.maxAge, systemClock)
      : undefined;
  const planSealer = createSealer(firstOf(sessionKeys, vaultKeys), 'plan');
  const tickets = createTickets(createSealer(firstOf(vaultKeys), 'ticket'), systemClock);
  const decide = createDecider({
    findRoute,
    sessions,
    planSealer,
    connectLink: (user, provider) =>
      connectLink(config.publicUrl, provider, tickets.issue({ issuer: user.issuer, subject: user.subject, provider })),
    allowedOrigins: new Set(
      (config.allowedOrigins ?? [new URL(config.publicUrl).origin]).map((origin) => origin.toLowerCase()),
    ),
    maxBody: config.limits.maxBody,
    audit,
    tools,
  });

  const invalidate = (what: unknown): void => {
    const refused = refusedToken(what);
    if (refused) void accounts?.refresher.invalidate(refused);
    exchanges.invalidate(what);
    aws.invalidate(what);
  };
  const carrierParts = { sealer: planSealer, sessions, signers, invalidate, audit, tools };
  const newCarrier = (metadata: CallMetadata) => tracing.carrier(carrierParts, metadata);

  const departure = new Departure();
  const grpc = await startGrpc(
    {
      address: config.server.grpc,
      tls: config.server.grpcTls,
      maxMessage: BODY_HEADROOM * config.limits.maxBody + MESSAGE_OVERHEAD,
    },
    {
      check: createCheck(decide, NAMESPACE, log, tracing.tracer),
      process: createProcess(newCarrier, tools),
      health: createHealthService(fileURLToPath(new URL('../proto', import.meta.url)), health, (peer, ready) =>
        departure.asked(peer, ready, performance.now()),
      ),
    },
    log,
  );
  const { login, cookieKeys } = config.connect;
  const connectPages =
    accounts && login
      ? [
          connectRoutes({
            publicUrl: config.publicUrl,
            login: createLogin(login, tools, egress),
            providers: accounts.providers,
            vault: accounts.vault,
            tickets,
            cookieKeys: firstOf(cookieSealKeys(cookieKeys), vaultKeys),
            onGrantChanged: (key) => accounts.refresher.forget(key),
            audit,
            tools,
          }),
        ]
      : [];
  const http = await startHttp(
    config.server.http,
    [metadataRoutes(directory), jwksRoute(signers.publicKeys), ...connectPages],
    log,
  );
  const admin = await startHttp(
    config.server.admin,
    [
      adminRoutes({
        readiness: async () => health.reason ?? (await accounts?.trouble()) ?? (await proofs.trouble()),
        metrics: async () => ({ contentType: metrics.contentType, text: await metrics.text() }),
      }),
    ],
    log,
  );
  for (const method of methods.values()) void method.warm?.();
  await envoy.watch();
  health.set(undefined);
  const addresses = { grpc: grpc.address, http: http.address, admin: admin.address };
  log.info('serving', addresses);

  return {
    addresses,
    async stop(why) {
      health.set('shutting down');
      log.info('draining', { why });
      await departure.everybodyKnows(LINGER_LIMIT_MS);
      await grpc.drain(DRAIN_LIMIT_MS);
      await Promise.all([http.close(1_000), admin.close(1_000)]);
      for (const method of methods.values()) method.close?.();
      envoy.close();
      await proofs.close();
      await accounts?.close();
      audit.flush();
      await tracing.close();
      log.info('stopped');
    },
  };
}

/** Keys as the loader has checked them: 32 bytes each. */
function sealKeys(keys: readonly { readonly id: string; readonly key: Secret }[]): SealKey[] {
  return keys.map(({ id, key }) => ({ id, key: decodeKey(key.reveal()) as Buffer }));
}

async function readDump(fetchDump: EgressFetch, admin: string, signal: AbortSignal): Promise<string> {
  const answer = await fetchDump(`${admin.replace(/\/+$/, '')}/config_dump`, { method: 'GET', headers: {}, signal });
  if (answer.status !== 200) throw new Error(`/config_dump was answered with ${answer.status}`);
  return answer.text();
}
