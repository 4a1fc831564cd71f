import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { GATEWAY } from '../test/support/exchange-server.ts';
import type { TestRoute } from '../test/support/envoy-config.ts';
import type { Route } from './kinds.ts';
import { AUDIENCE } from './people.ts';

export interface Neighbours {
  readonly issuer: string;
  readonly provider: string;
  readonly exchange: string;
  readonly store: string;
  readonly bots: number;
}

export const NONCE_HEADER = 'x-soak-nonce';
export const PROVIDER = 'github';
export const botKey = (bot: number) => `key-of-bot-${bot}-${'k'.repeat(24)}`;
export const botName = (bot: number) => `bot-${bot}`;

export const newAesKey = () => ({ id: `k-${randomBytes(4).toString('hex')}`, key: randomBytes(32).toString('base64') });
export const newSigningKey = () => ({
  id: `s-${randomBytes(4).toString('hex')}`,
  alg: 'ES256',
  privateKey: String(
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
  ),
});

/** What rotates; the rest stays as it is. */
export interface Settings extends Record<string, unknown> {
  vault: { store: string; keys: { id: string; key: string }[] };
  session: { keys: { id: string; key: string }[] };
  signing: { current: { jws: string; hmac: string }; keys: { id: string }[] };
}

export const HMAC_SECRET = 'a secret of the soak, thirty-two bytes or more';

/** The service's config file, without what the stack fills in. */
export function settings({ issuer, provider, exchange, store, bots }: Neighbours): Settings {
  const jws = newSigningKey();
  const keys = Array.from({ length: bots }, (_, bot) => ({
    id: botName(bot),
    sha256: createHash('sha256').update(botKey(bot)).digest('hex'),
    subject: botName(bot),
  }));
  return {
    incomingAuth: {
      corp: { type: 'jwt', issuer, audience: [AUDIENCE] },
      ci: { type: 'api_key', header: 'x-api-key', keys },
    },
    upstreamProviders: { [PROVIDER]: { issuer: provider, clientId: 'soak', clientSecret: 'soak-s3cret' } },
    tokenExchanges: { hr: { tokenEndpoint: exchange, ...GATEWAY } },
    vault: { store, keys: [newAesKey()] },
    connect: {
      login: { issuer, clientId: 'login', clientSecret: 'soak-s3cret' },
      cookieKeys: [randomBytes(32).toString('base64')],
    },
    session: { keys: [newAesKey()] },
    signing: {
      current: { jws: jws.id, hmac: 'h1' },
      keys: [jws, { id: 'h1', alg: 'HS256', secret: HMAC_SECRET } as { id: string }],
    },
    audit: { destination: 'file:./audit.jsonl' },
  };
}

/** One route per way of doing things. */
export function routes(origin: string): TestRoute[] {
  const route = (name: Route, outgoingAuth: object, more: object = {}): TestRoute => ({
    prefix: `/${name}/mcp`,
    policy: {
      backend: name,
      resource: `${origin}/${name}/mcp`,
      incomingAuth: ['corp'],
      outgoingAuth,
      passthroughHeaders: [NONCE_HEADER],
      ...more,
    },
  });
  const claims = { type: 'claim_injection', claimInjection: { claims: ['sub', 'email'] } };
  return [
    route('claims', claims, { tools: { 'admin_*': { deny: true } } }),
    route(
      'signed',
      { type: 'unauthenticated' },
      { identityPropagation: { mode: 'headers', attributes: ['id', 'email'], sign: 'jws' } },
    ),
    route(
      'meta',
      { type: 'unauthenticated' },
      { identityPropagation: { mode: 'meta', attributes: ['id', 'email'], sign: 'hmac' } },
    ),
    route('bots', { type: 'claim_injection' }, { incomingAuth: ['ci'] }),
    route('upstream', {
      type: 'upstream_inject',
      upstreamInject: { providerName: PROVIDER, onMissing: 'deny', unconnected: 'deny' },
    }),
    route('exchange', { type: 'token_exchange', tokenExchange: { exchange: 'hr', audience: 'hr' } }),
    route('session', claims, { session: { bind: true } }),
  ];
}
