import { hkdfSync } from 'node:crypto';
import { join } from 'node:path';
import { openVault } from '../src/upstream/vault/open.ts';
import { createVerifier } from '../src/verify/verifier.ts';
import { type ExchangeServer, startExchangeServer } from '../test/support/exchange-server.ts';
import { type FakeIssuer, startIssuer } from '../test/support/issuer.ts';
import { freePorts } from '../test/support/ports.ts';
import { type FakeProvider, startProvider } from '../test/support/provider.ts';
import { DURABLE, type RedisServer, startRedis } from '../test/support/redis.ts';
import { type Stack, startStack } from '../test/support/stack.ts';
import { testTools, vaultConfig } from '../test/support/vault-tools.ts';
import { decodeJwt } from 'jose';
import { nameOf } from './people.ts';
import type { Cast } from './requests.ts';
import { HMAC_SECRET, PROVIDER, routes, type Settings, settings } from './settings.ts';

/** Seconds that a token of the upstream provider lives: short, so that there is much to refresh. */
const UPSTREAM_LIFETIME_SECONDS = 60;
/** An Envoy that is being replaced has closed unused connections before it ends: see docs/operations/upgrades.md. */
const MANAGER = { common_http_protocol_options: { idle_timeout: '3s' } };
const AT_ONCE = 128;

/** Everything that runs, and the part of the configuration that changes. */
export interface Site {
  readonly issuer: FakeIssuer;
  readonly stranger: FakeIssuer;
  readonly provider: FakeProvider;
  readonly exchange: ExchangeServer;
  readonly redis: RedisServer;
  readonly stack: Stack;
  /** As the files of the replicas are to say. */
  readonly settings: Settings;
  readonly baseId: number;
  readonly verifiers: { readonly signed: Verifier; readonly meta: Verifier };
  stop(): Promise<void>;
}
type Verifier = ReturnType<typeof createVerifier>;

export async function startSite(cast: Cast): Promise<Site> {
  const stops: (() => Promise<void>)[] = [];
  const keep = async <T>(starting: Promise<T>, stop: (started: T) => Promise<void>): Promise<T> => {
    const started = await starting;
    stops.unshift(() => stop(started));
    return started;
  };
  const stop = async () => {
    for (const one of stops) await one();
  };
  try {
    const ended = (started: { stop(): Promise<void> }) => started.stop();
    const issuer = await keep(startIssuer(), ended);
    const stranger = await keep(startIssuer(), ended);
    const provider = await keep(startProvider({ lifetimeSeconds: UPSTREAM_LIFETIME_SECONDS }), ended);
    const exchange = await keep(startExchangeServer(), ended);
    const redis = await keep(startRedis({ settings: DURABLE }), (started) => started.dispose());
    exchange.foreign = (token) => {
      const { iss, sub } = decodeJwt(token);
      return iss === issuer.issuer ? sub : undefined;
    };
    const config = settings({
      issuer: issuer.issuer,
      provider: provider.issuer,
      exchange: exchange.tokenEndpoint,
      store: redis.url,
      bots: cast.bots,
    });
    await connectAccounts(config, cast.connected, issuer.issuer, provider);
    // A port that is free now is a number that no other Envoy of this machine uses.
    const [baseId] = (await freePorts(1)) as [number];
    const stack = await keep(
      startStack({ extProc: true, replicas: 2, baseId, manager: MANAGER, config, routes }),
      ended,
    );
    const verifiers = {
      signed: createVerifier({
        issuer: stack.origin,
        backend: 'signed',
        resource: `${stack.origin}/signed/mcp`,
        jwksUri: `${stack.origin}/.well-known/mcp-identity/jwks.json`,
        cooldownSeconds: 1,
        body: 'required',
        replay: 'refuse',
      }),
      meta: createVerifier({
        issuer: stack.origin,
        backend: 'meta',
        key: new Uint8Array(hkdfSync('sha256', HMAC_SECRET, '', 'envoy-mcp-identity/hmac/v1/meta', 32)),
        body: 'ignored',
        replay: 'refuse',
      }),
    };
    return { issuer, stranger, provider, exchange, redis, stack, settings: config, baseId, verifiers, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** As the connect pages would, but for the people. */
async function connectAccounts(config: Settings, count: number, issuer: string, provider: FakeProvider): Promise<void> {
  const keys = config.vault.keys.map(({ id, key }) => ({ id, bytes: Buffer.from(key, 'base64') }));
  const vault = await openVault(vaultConfig(config.vault.store, keys), testTools());
  try {
    for (let first = 0; first < count; first += AT_ONCE)
      await Promise.all(
        Array.from({ length: Math.min(AT_ONCE, count - first) }, async (_, i) => {
          const subject = nameOf(first + i);
          // Not all end at the same moment.
          const ageSeconds = Math.floor((UPSTREAM_LIFETIME_SECONDS * (first + i)) / count);
          await vault.create({ issuer, subject, provider: PROVIDER }, provider.issue(subject, { ageSeconds }));
        }),
      );
  } finally {
    await vault.close();
  }
}

export const configFile = (site: Site, replica: number) => join(site.stack.folder, `sidecar-${replica}.yaml`);
