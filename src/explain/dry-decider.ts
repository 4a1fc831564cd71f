import { randomBytes } from 'node:crypto';
import { createProofNonces } from '../authn/dpop-nonce.ts';
import type { IncomingMethod } from '../authn/method.ts';
import { createMethods } from '../authn/registry.ts';
import type { Config } from '../config/schema.ts';
import { worldOf } from '../config/world.ts';
import { keepNothing } from '../core/keep.ts';
import type { Audit, Tools } from '../core/ports.ts';
import { createSealer, decodeKey, type Sealer, type SealKey } from '../core/seal.ts';
import type { Secret } from '../core/secret.ts';
import { decodeStruct } from '../envoy/codec/struct.ts';
import { StructKeys } from '../envoy/codec/struct-key.ts';
import { createSessions } from '../mcp/session.ts';
import type { Egress } from '../net/egress.ts';
import { Carrier } from '../pipeline/carry-out.ts';
import { createDecider, type Decide } from '../pipeline/decide.ts';
import { createFindRoute, type EnvoyKnowledge } from '../pipeline/find-route.ts';
import type { RoutePolicy } from '../policy/route-policy.ts';
import { createSigners } from '../propagation/signers.ts';
import { AwsSts } from '../strategies/aws-sts.ts';
import { TokenExchanges } from '../strategies/token-exchange.ts';
import { createProvider } from '../upstream/provider.ts';
import { connectLink } from '../upstream/ticket.ts';
import type { Vault } from '../upstream/vault/vault.ts';
import { createDryRefresher } from './dry-refresher.ts';
import type { Notebook } from './finding.ts';

export interface DryParts {
  readonly envoy: EnvoyKnowledge;
  /** Changes nothing at the other end. */
  readonly egress: Egress;
  readonly vault: Pick<Vault, 'read'> | undefined;
  readonly onPolicy: (policy: RoutePolicy) => void;
  readonly audit: Audit;
  readonly tools: Tools;
  readonly notebook: Notebook;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The decision of the service, put together from the same parts as in app.ts, with hands that touch nothing. */
export interface DryDecider {
  readonly decide: Decide;
  readonly newCarrier: () => Carrier;
  readonly planSealer: Sealer;
  readonly methods: ReadonlyMap<string, IncomingMethod>;
  close(): void;
}

/** @throws when a part cannot be built from the configuration, which validation says first */
export function createDryDecider(config: Config, parts: DryParts): DryDecider {
  const { audit, egress, env, notebook, tools } = parts;
  const { clock } = tools;
  const [sessionKeys, vaultKeys] = [sealKeys(config.session.keys), sealKeys(config.vault.keys)];
  const ownKeys: SealKey[] = [{ id: 'process', key: randomBytes(32) }];
  const firstOf = (...lists: SealKey[][]): SealKey[] => lists.find((keys) => keys.length > 0) ?? ownKeys;
  const methods = createMethods(config.incomingAuth, keepNothing(tools), egress, {
    publicUrl: config.publicUrl,
    once: async () => {
      notebook.assume('credential', 'the DPoP proof was neither recorded nor looked up; taken as new', true);
      return true;
    },
    nonces: createProofNonces(createSealer(firstOf(vaultKeys, sessionKeys), 'dpop-nonce'), clock),
    clock,
  });
  const providers = new Map(
    Object.entries(config.upstreamProviders).map(([name, one]) => [name, createProvider(name, one, tools, egress)]),
  );
  const hasAccounts = providers.size > 0 && vaultKeys.length > 0;
  const signers = createSigners(config.signing);
  const structKeys = new StructKeys();
  const findRoute = createFindRoute({
    methods,
    assertions: { signers, publicUrl: config.publicUrl, clock },
    strategies: {
      secrets: new Map(Object.entries(config.secrets)),
      refresher: hasAccounts ? createDryRefresher({ providers, vault: parts.vault, tools, notebook }) : undefined,
      exchanges: new TokenExchanges(config.tokenExchanges, tools, egress),
      aws: new AwsSts(config.aws.stsEndpoint ?? env['AWS_ENDPOINT_URL_STS'], tools, egress),
      tools,
    },
    tools,
    world: worldOf(config),
    decode: decodeStruct,
    keyOf: (metadata) => structKeys.keyOf(metadata),
    envoy: parts.envoy,
    onPolicy: parts.onPolicy,
  });
  const sessions =
    sessionKeys.length > 0
      ? createSessions(createSealer(sessionKeys, 'session'), config.session.maxAge, clock)
      : undefined;
  const planSealer = createSealer(firstOf(sessionKeys, vaultKeys), 'plan');
  const decide = createDecider({
    findRoute,
    sessions,
    planSealer,
    // Nobody gets a ticket for the asking.
    connectLink: (_, provider) => connectLink(config.publicUrl, provider, 'TICKET'),
    allowedOrigins: new Set(
      (config.allowedOrigins ?? [new URL(config.publicUrl).origin]).map((origin) => origin.toLowerCase()),
    ),
    maxBody: config.limits.maxBody,
    audit,
    tools,
  });
  const carrierParts = { sealer: planSealer, sessions, signers, invalidate: () => {}, audit, tools };
  return {
    decide,
    newCarrier: () => new Carrier(carrierParts),
    planSealer,
    methods,
    close() {
      for (const method of methods.values()) method.close?.();
    },
  };
}

function sealKeys(keys: readonly { readonly id: string; readonly key: Secret }[]): SealKey[] {
  return keys.map(({ id, key }) => ({ id, key: decodeKey(key.reveal()) as Buffer }));
}
