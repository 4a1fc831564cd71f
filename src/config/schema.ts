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
    .meta({ title: 'address' })
    .default(fallback);

const serverSchema = z
  .strictObject({
    grpc: listener('127.0.0.1:9191').describe('Envoy calls here: ext_authz, ext_proc, health'),
    http: listener('127.0.0.1:9192').describe(
      'Envoy routes people and clients here: metadata documents, JWKS, connect pages',
    ),
    admin: listener('127.0.0.1:9193').describe('/livez, /readyz, /metrics'),
    grpcTransport: z
      .enum(['http2', 'grpc-js'])
      .default('http2')
      .describe('What carries gRPC: our own on Node’s HTTP/2, or the library @grpc/grpc-js, which costs more CPU'),
    grpcTls: z
      .strictObject({
        cert: z.string().min(1).describe('Certificate of the service, with its chain'),
        key: z.string().min(1).describe('Private key of that certificate'),
        clientCa: z.string().min(1).describe('Authority that signed the certificates of those who may call'),
      })
      .optional()
      .describe('Files of a mutual TLS set-up for server.grpc, PEM'),
  })
  .prefault({})
  .describe('Where the service listens: host:port or unix:/path');

const signingKeySchema = z.discriminatedUnion('alg', [
  z.strictObject({
    id: entryName().describe('`kid` of what it signs'),
    alg: z.enum(['ES256', 'EdDSA', 'RS256']).describe('For `sign: jws`; the public key is published'),
    privateKey: secret().describe('PKCS#8 PEM'),
  }),
  z.strictObject({
    id: entryName().describe('`kid` of what it signs'),
    alg: z.literal('HS256').describe('For `sign: hmac`'),
    secret: secret().describe('At least 32 bytes; each backend gets a key derived from it'),
  }),
]);

const origin = z
  .string()
  .refine((text) => URL.parse(text)?.origin === text, 'must be an origin such as https://app.example.com');

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
  limits: z
    .strictObject({
      maxBody: byteSize()
        .prefault('4MiB')
        .describe('Largest body that is read, to decide on it or to edit it; larger: 413'),
    })
    .prefault({})
    .describe('Bounds of what a request may cost'),
  envoy: z
    .strictObject({
      bootstrap: z.string().min(1).optional().describe('Envoy configuration file whose routes are validated at start'),
      admin: endpointUrl()
        .optional()
        .describe('Admin address of the running Envoy; its config_dump is validated at start and while running'),
    })
    .prefault({})
    .describe('Where the policies of routes are known from, and that ext_proc is there'),
  incomingAuth: z
    .record(entryName(), incomingMethodSchema)
    .default({})
    .describe('Ways of signing in, by name; a route lists those it accepts'),
  upstreamProviders: z
    .record(entryName(), upstreamProviderSchema)
    .default({})
    .describe('OAuth servers whose tokens are kept for each user and refreshed, by name'),
  tokenExchanges: z.record(entryName(), tokenExchangeClientSchema).default({}).describe('RFC 8693 endpoints, by name'),
  aws: z
    .strictObject({
      stsEndpoint: endpointUrl()
        .optional()
        .describe('In place of the regional endpoint of STS; AWS_ENDPOINT_URL_STS works too'),
    })
    .prefault({})
    .describe('For `aws_sts` routes'),
  secrets: z.record(entryName(), secret()).default({}).describe('Values that routes name and never hold'),
  vault: vaultSchema.prefault({}),
  connect: connectSchema.prefault({}),
  signing: z
    .strictObject({
      current: z
        .strictObject({
          jws: z.string().optional().describe('Id of the key for `sign: jws`'),
          hmac: z.string().optional().describe('Id of the key for `sign: hmac`'),
        })
        .prefault({})
        .describe('Which keys sign now'),
      keys: z
        .array(signingKeySchema)
        .default([])
        .describe('All keys; the public ones are published, to rotate without gaps'),
    })
    .prefault({})
    .describe('Assertions about the user that backends verify'),
  session: z
    .strictObject({
      keys: z
        .array(aesKeySchema)
        .default([])
        .describe('The first seals, all open; also what ext_authz hands to ext_proc, so replicas share them'),
      maxAge: duration().prefault('24h').describe('How long a session may be used'),
    })
    .prefault({})
    .describe('For routes with `session.bind`'),
  audit: auditSchema.prefault({}),
  log: logSchema.prefault({}),
});

export type Config = z.output<typeof configSchema>;
