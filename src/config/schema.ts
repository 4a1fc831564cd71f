import { z } from 'zod';
import { incomingMethodSchema } from '../authn/schema.ts';
import { byteSize, duration, endpointUrl, entryName, secret } from '../core/scalars.ts';
import { auditSchema, logSchema } from '../observe/schema.ts';
import {
  aesKeySchema,
  connectSchema,
  tokenExchangeClientSchema,
  upstreamProviderSchema,
  vaultSchema,
} from '../upstream/schema.ts';

const listener = (fallback: string) =>
  z
    .string()
    .regex(/^(unix:\/.+|\[[0-9a-fA-F:]+\]:\d{1,5}|[^\s:/[\]]+:\d{1,5})$/, 'must be host:port or unix:/path')
    .default(fallback);

const serverSchema = z
  .strictObject({
    grpc: listener('127.0.0.1:9191').describe('Envoy calls here: ext_authz, ext_proc, health'),
    http: listener('127.0.0.1:9192').describe(
      'Envoy routes people and clients here: metadata documents, JWKS, connect pages',
    ),
    admin: listener('127.0.0.1:9193').describe('/livez, /readyz, /metrics'),
    grpcTls: z
      .strictObject({ cert: z.string().min(1), key: z.string().min(1), clientCa: z.string().min(1) })
      .optional()
      .describe('Files of a mutual TLS set-up for server.grpc, PEM'),
  })
  .prefault({});

const signingKeySchema = z.discriminatedUnion('alg', [
  z.strictObject({
    id: entryName(),
    alg: z.enum(['ES256', 'EdDSA', 'RS256']),
    privateKey: secret().describe('PKCS#8 PEM'),
  }),
  z.strictObject({ id: entryName(), alg: z.literal('HS256'), secret: secret() }),
]);

const origin = z
  .string()
  .refine(
    (text) => URL.canParse(text) && new URL(text).origin === text,
    'must be an origin such as https://app.example.com',
  );

/** The config file (contract §3). */
export const configSchema = z.strictObject({
  server: serverSchema,
  publicUrl: endpointUrl()
    .transform((url) => url.replace(/\/+$/, ''))
    .describe('What clients and browsers see; base of connect links'),
  allowedOrigins: z
    .array(origin)
    .optional()
    .describe('Default: the origin of publicUrl; a request without Origin passes'),
  limits: z.strictObject({ maxBody: byteSize().prefault('4MiB') }).prefault({}),
  envoy: z
    .strictObject({
      bootstrap: z.string().min(1).optional().describe('Envoy configuration file whose routes are validated at start'),
      admin: endpointUrl().optional().describe('Admin address of the running Envoy'),
    })
    .prefault({}),
  incomingAuth: z.record(entryName(), incomingMethodSchema).default({}),
  upstreamProviders: z.record(entryName(), upstreamProviderSchema).default({}),
  tokenExchanges: z.record(entryName(), tokenExchangeClientSchema).default({}),
  aws: z.strictObject({ stsEndpoint: endpointUrl().optional() }).prefault({}),
  secrets: z.record(entryName(), secret()).default({}),
  vault: vaultSchema.prefault({}),
  connect: connectSchema.prefault({}),
  signing: z
    .strictObject({
      current: z.strictObject({ jws: z.string().optional(), hmac: z.string().optional() }).prefault({}),
      keys: z.array(signingKeySchema).default([]),
    })
    .prefault({}),
  session: z.strictObject({ keys: z.array(aesKeySchema).default([]), maxAge: duration().prefault('24h') }).prefault({}),
  audit: auditSchema.prefault({}),
  log: logSchema.prefault({}),
});

export type Config = z.output<typeof configSchema>;
