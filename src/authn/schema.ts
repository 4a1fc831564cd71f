import { z } from 'zod';
import { duration, endpointUrl, entryName, HEADER_NAME, secret } from '../core/scalars.ts';
import { attributeClaimsSchema } from './attribute-claims.ts';

/** Asymmetric signatures only (RFC 8725 3.1): a symmetric one would let anyone who can verify also sign. */
export const SIGNATURE_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

const audience = z.union([
  z
    .string()
    .min(1)
    .transform((one) => [one]),
  z.array(z.string().min(1)).min(1),
]);
const subjectClaim = z.string().min(1).default('sub').describe('Claim that names the user (Entra ID: oid)');
const claims = z
  .record(z.string(), z.unknown())
  .default({})
  .describe('Claims of the caller, as a token would carry them');
const subject = z.string().min(1).describe('Who calls: the `sub` of the identity');
const scopeClaims = z
  .array(z.string().min(1))
  .min(1)
  .default(['scope', 'scp'])
  .describe('Claims that hold scopes: a text with spaces, or a list');
const dpop = {
  dpop: z
    .enum(['off', 'allowed', 'required'])
    .default('off')
    .describe(
      'Tokens bound to a key of the client (RFC 9449): refused, accepted with a proof, or the only ones accepted',
    ),
  dpopNonce: z
    .boolean()
    .default(false)
    .describe('Proofs must hold a nonce that the service hands out and renews, so that none can be made ahead'),
};
const credentialHeader = (fallback: string) =>
  z
    .string()
    .regex(HEADER_NAME, 'must be a header name')
    .transform((name) => name.toLowerCase())
    .prefault(fallback);

export const jwtSchema = z.strictObject({
  type: z.literal('jwt'),
  issuer: endpointUrl().describe('Exact `iss` of the tokens'),
  jwksUri: endpointUrl().optional().describe('Where the keys are; default: found by discovery at the issuer'),
  audience: audience.optional().describe('Accepted `aud` values; default: the resource of the route'),
  algorithms: z
    .array(z.enum(SIGNATURE_ALGORITHMS))
    .min(1)
    .default(['RS256', 'ES256'])
    .describe('Accepted `alg` values'),
  clockSkew: duration().prefault('5s').describe('Tolerance for `exp` and `nbf`'),
  tokenTypes: z
    .array(z.string().min(1))
    .min(1)
    .default(['at+jwt', 'JWT'])
    .describe('Accepted `typ` values (RFC 9068); a missing `typ` counts as JWT'),
  subjectClaim,
  scopeClaims,
  requiredClaims: z
    .record(z.string(), z.unknown())
    .default({})
    .describe('Claims a token must hold: the value, or one of its elements'),
  ...dpop,
  attributeClaims: attributeClaimsSchema,
});

export const introspectionSchema = z.strictObject({
  type: z.literal('introspection'),
  issuer: endpointUrl().describe('Part of the identity; endpoints are found by discovery here'),
  introspectionEndpoint: endpointUrl().optional().describe('RFC 7662 endpoint; default: found by discovery'),
  clientId: z.string().min(1).describe('Client by which the service asks'),
  clientSecret: secret().optional().describe('Secret of that client'),
  clientAuth: z
    .enum(['client_secret_basic', 'client_secret_post', 'none'])
    .default('client_secret_basic')
    .describe('How the client proves itself'),
  audience: audience.optional().describe('Accepted `aud` values; default: the resource of the route'),
  cacheTtl: duration().prefault('30s').describe('How long an answer is reused; never beyond `exp`'),
  subjectClaim,
  scopeClaims,
  ...dpop,
  attributeClaims: attributeClaimsSchema,
});

export const apiKeySchema = z.strictObject({
  type: z.literal('api_key'),
  header: credentialHeader('x-api-key').describe('Header that carries the key'),
  keys: z
    .array(
      z.strictObject({
        id: entryName().describe('Names the key in metrics'),
        sha256: z
          .string()
          .regex(/^[0-9a-fA-F]{64}$/, 'must be the SHA-256 of the key in hex')
          .describe('SHA-256 of the key in hex; the key itself stands nowhere')
          .transform((hex) => hex.toLowerCase()),
        subject,
        claims,
        expires: z.iso
          .date()
          .or(z.iso.datetime({ offset: true }))
          .optional()
          .describe('Refused from then on: 2027-01-01, or with time and zone'),
      }),
    )
    .min(1)
    .describe('Accepted keys'),
  attributeClaims: attributeClaimsSchema,
});

export const basicSchema = z.strictObject({
  type: z.literal('basic'),
  users: z
    .array(
      z.strictObject({
        username: z.string().min(1).describe('As the client sends it'),
        passwordHash: z
          .string()
          .regex(/^(\$2[aby]\$\d\d\$|\$scrypt\$)/, 'must be a bcrypt hash ($2b$…) or a PHC scrypt hash ($scrypt$…)')
          .describe('bcrypt ($2b$…) or PHC scrypt ($scrypt$…)'),
        subject,
        claims,
      }),
    )
    .min(1)
    .describe('Accepted users'),
  attributeClaims: attributeClaimsSchema,
});

export const trustedProxySchema = z.strictObject({
  type: z.literal('trusted_proxy'),
  userHeader: credentialHeader('x-authenticated-user').describe('Header in which the proxy names the user'),
  claimHeaders: z
    .record(z.string().min(1), credentialHeader('x-authenticated-email'))
    .default({})
    .describe('Further claims: claim → header'),
  trustedPeers: z
    .array(z.string().min(1))
    .min(1)
    .describe('Who is believed: CIDR blocks, or certificate identities such as spiffe://corp/gateway'),
  attributeClaims: attributeClaimsSchema,
});

const anonymousSchema = z.strictObject({ type: z.literal('anonymous') });

/** One entry of `incomingAuth`. */
export const incomingMethodSchema = z.discriminatedUnion('type', [
  jwtSchema,
  introspectionSchema,
  apiKeySchema,
  basicSchema,
  trustedProxySchema,
  anonymousSchema,
]);

export type JwtConfig = z.output<typeof jwtSchema>;
export type IncomingMethodConfig = z.output<typeof incomingMethodSchema>;
