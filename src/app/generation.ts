import { createProofNonces } from '../authn/dpop-nonce.ts';
import { createMethods } from '../authn/registry.ts';
import type { Config } from '../config/schema.ts';
import { systemClock, type Tools } from '../core/ports.ts';
import { type Check, createCheck } from '../envoy/ext-authz.ts';
import { connectRoutes } from '../http/connect-routes.ts';
import { jwksRoute, metadataRoutes } from '../http/metadata-routes.ts';
import type { Handler } from '../http/server.ts';
import { createSessions } from '../mcp/session.ts';
import type { CarrierParts } from '../pipeline/carry-out.ts';
import { createDecider } from '../pipeline/decide.ts';
import { NAMESPACE } from '../policy/route-policy.ts';
import type { EnvoyValidation } from '../policy/validate-envoy.ts';
import { createSigners } from '../propagation/signers.ts';
import { AwsSts } from '../strategies/aws-sts.ts';
import { TokenExchanges } from '../strategies/token-exchange.ts';
import { refusedToken } from '../strategies/upstream-inject.ts';
import { type Accounts, createAccounts } from '../upstream/accounts.ts';
import { createLogin } from '../upstream/login.ts';
import { connectLink, createTickets } from '../upstream/ticket.ts';
import { createSealers, type Sealers } from './keys.ts';
import type { Holding } from './parts.ts';
import type { Process } from './process.ts';
import { createRoutes, type Routes } from './routes.ts';

/** Everything that one configuration decides about. */
export interface Generation {
  readonly config: Config;
  readonly check: Check;
  readonly carrierParts: CarrierParts;
  readonly handlers: readonly Handler[];
  readonly sealers: Sealers;
  readonly routes: Routes;
  /** Why the service is not ready: undefined when it is. */
  trouble(): Promise<string | undefined>;
  /** Fetches the keys of issuers, which callers would wait for; for a few seconds at most. */
  warm(): Promise<void>;
  /** Puts into use what cannot be there twice: the keys of the vault, the level of the log. */
  begin(): void;
  /** Ends what nobody else uses. */
  close(): void;
}

const WARM_LIMIT_MS = 5_000;

/**
 * Builds a generation.
 * @param before the one whose place it takes
 * @throws when something cannot be used as configured; says what to change
 */
export async function buildGeneration(
  house: Process,
  config: Config,
  start: Pick<EnvoyValidation, 'policies' | 'proofs'>,
  before: Generation | undefined,
): Promise<Generation> {
  const held = house.parts.hold();
  const metrics = house.metrics.scope();
  const release = (): void => {
    held.release();
    metrics.end();
  };
  try {
    return await build({ ...house, tools: { ...house.tools, metrics } }, config, start, before, held, release);
  } catch (error) {
    release();
    throw error;
  }
}

async function build(
  house: Omit<Process, 'metrics'>,
  config: Config,
  start: Pick<EnvoyValidation, 'policies' | 'proofs'>,
  before: Generation | undefined,
  held: Holding,
  release: () => void,
): Promise<Generation> {
  const { tools, audit, egress, log } = house;
  const { publicUrl } = config;
  const sealers = createSealers(config, house.ownKeys, before?.sealers);
  const vaults = await house.vaults.use(config);
  const stsEndpoint = config.aws.stsEndpoint ?? process.env['AWS_ENDPOINT_URL_STS'];
  const exchanges = held.take(
    'token exchanges',
    config.tokenExchanges,
    (own) => new TokenExchanges(config.tokenExchanges, own, egress),
  );
  const aws = held.take('aws', stsEndpoint, (own) => new AwsSts(stsEndpoint, own, egress));
  const accounts =
    vaults.grants &&
    createAccounts(config, { ...house, vault: vaults.grants, memory: house.refreshMemory, keep: held, audit });
  const methods = createMethods(
    config.incomingAuth,
    held,
    egress,
    {
      publicUrl,
      once: vaults.once,
      nonces: createProofNonces(sealers.dpopNonce, systemClock),
      clock: systemClock,
    },
    tools.tracer,
  );
  const signers = createSigners(config.signing);
  const routes = createRoutes({
    config,
    start,
    methods,
    assertions: { signers, publicUrl, clock: systemClock },
    strategies: {
      secrets: new Map(Object.entries(config.secrets)),
      refresher: accounts?.refresher,
      exchanges,
      aws,
      tools,
    },
    seen: before?.routes.envoy.seen,
    egress,
    tools,
  });
  const sessions = sealers.session && createSessions(sealers.session, config.session.maxAge, systemClock);
  const tickets = createTickets(sealers.ticket, systemClock);
  const decide = createDecider({
    findRoute: routes.find,
    sessions,
    planSealer: sealers.plan,
    connectLink: (user, provider) =>
      connectLink(publicUrl, provider, tickets.issue({ issuer: user.issuer, subject: user.subject, provider })),
    allowedOrigins: new Set((config.allowedOrigins ?? [new URL(publicUrl).origin]).map((one) => one.toLowerCase())),
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
  const connectPages = createConnectPages(house, config, sealers, accounts, tickets, held);

  return {
    config,
    check: createCheck(decide, NAMESPACE, log, tools.tracer),
    carrierParts: { sealer: sealers.plan, sessions, signers, invalidate, audit, tools },
    handlers: [metadataRoutes(routes.directory), jwksRoute(signers.publicKeys), ...connectPages],
    sealers,
    routes,
    trouble: () => vaults.trouble(),
    // Whoever cannot be reached now does not hold up the others: its callers hear about it.
    warm: () => within(WARM_LIMIT_MS, Promise.all([...methods.values()].flatMap((method) => method.warm?.() ?? []))),
    begin() {
      vaults.begin();
      log.setLevel(config.log.level);
    },
    close() {
      routes.envoy.close();
      release();
    },
  };
}

function createConnectPages(
  {
    egress,
    turnstile,
    audit,
    tools,
  }: { egress: Process['egress']; turnstile: Process['turnstile']; audit: Process['audit']; tools: Tools },
  { publicUrl, connect: { login } }: Config,
  { cookieKeys }: Sealers,
  accounts: Accounts | undefined,
  tickets: ReturnType<typeof createTickets>,
  held: Holding,
): Handler[] {
  if (!accounts || !login) return [];
  const { providers, vault, refresher } = accounts;
  return [
    connectRoutes({
      publicUrl,
      login: held.take('login', login, (own) => createLogin(login, own, egress)),
      providers,
      vault,
      tickets,
      cookieKeys,
      turnstile,
      onGrantChanged: (key) => refresher.forget(key),
      audit,
      tools,
    }),
  ];
}

async function within(limitMs: number, job: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([job, limit]);
  clearTimeout(timer);
}
