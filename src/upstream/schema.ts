import { z } from 'zod';
import { duration, endpointUrl, entryName, scopeToken, secret } from '../core/scalars.ts';

const CLIENT_AUTH = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'] as const;

const client = {
  clientId: z.string().min(1).describe('As registered there'),
  clientSecret: secret().optional().describe('For client_secret_basic and client_secret_post'),
  clientAuth: z.enum(CLIENT_AUTH).default('client_secret_basic').describe('How the client proves itself'),
  privateKey: secret().optional().describe('PKCS#8 PEM, for private_key_jwt'),
  privateKeyId: z
    .string()
    .min(1)
    .optional()
    .describe('`kid` in the header of client assertions; for servers that know several keys of the client'),
};

interface ClientFields {
  clientAuth: (typeof CLIENT_AUTH)[number];
  clientSecret?: unknown;
  privateKey?: unknown;
  privateKeyId?: unknown;
}

/** What a client needs to prove itself, by `clientAuth`. */
function checkClient(value: ClientFields, context: z.RefinementCtx): void {
  const needs =
    value.clientAuth === 'private_key_jwt' ? 'privateKey' : value.clientAuth === 'none' ? undefined : 'clientSecret';
  if (needs && value[needs] === undefined)
    context.addIssue({ code: 'custom', path: [needs], message: `is required with clientAuth ${value.clientAuth}` });
  if (value.privateKeyId !== undefined && value.clientAuth !== 'private_key_jwt')
    context.addIssue({
      code: 'custom',
      path: ['privateKeyId'],
      message: `is of no use with clientAuth ${value.clientAuth}`,
    });
}

/** An OAuth server whose tokens of each user are kept and refreshed. */
export const upstreamProviderSchema = z
  .strictObject({
    issuer: endpointUrl().optional().describe('Endpoints are found by discovery here'),
    authorizationEndpoint: endpointUrl().optional().describe('Where people are sent to connect; without `issuer`'),
    tokenEndpoint: endpointUrl().optional().describe('Where tokens come from; without `issuer`'),
    revocationEndpoint: endpointUrl().optional().describe('RFC 7009; asked when somebody disconnects'),
    ...client,
    scopes: z.array(scopeToken()).default([]).describe('Asked for when somebody connects'),
    resource: z.string().min(1).optional().describe('RFC 8707 resource indicator'),
    authorizeParams: z
      .record(z.string().min(1), z.string())
      .default({})
      .describe('Further parameters of the authorization request, such as access_type: offline'),
    refreshBefore: duration()
      .prefault('60s')
      .describe('Refreshed in the background from here on; capped at a fifth of the lifetime'),
  })
  .superRefine((provider, context) => {
    checkClient(provider, context);
    if (!provider.issuer && !(provider.authorizationEndpoint && provider.tokenEndpoint)) {
      context.addIssue({
        code: 'custom',
        path: ['issuer'],
        message: 'give `issuer`, or both `authorizationEndpoint` and `tokenEndpoint`',
      });
    }
  });
export type UpstreamProviderConfig = z.output<typeof upstreamProviderSchema>;

/** An RFC 8693 endpoint. */
export const tokenExchangeClientSchema = z
  .strictObject({
    tokenEndpoint: endpointUrl().describe('Where tokens are exchanged'),
    audiences: z
      .record(entryName(), z.string().min(1))
      .default({})
      .describe('What is sent for an `audience` of that name; for URLs, which route metadata may not hold (V-13)'),
    ...client,
  })
  .superRefine(checkClient);
export type TokenExchangeClientConfig = z.output<typeof tokenExchangeClientSchema>;

/** 32 bytes in base64: an AES-256 key with its id. */
export const aesKeySchema = z.strictObject({
  id: entryName().describe('Stands beside what is sealed, so that the right key opens it'),
  key: secret().describe('32 bytes in base64: openssl rand -base64 32'),
});

export const vaultSchema = z
  .strictObject({
    store: z
      .string()
      .regex(/^(memory|sqlite:.+|rediss?:\/\/.+)$/, 'must be memory, sqlite:PATH, redis://… or rediss://…')
      .default('memory')
      .describe('Where sealed grants are kept: memory, sqlite:PATH, redis://… or rediss://…'),
    keys: z.array(aesKeySchema).default([]).describe('The first seals, all open'),
  })
  .describe('The tokens of users at upstream providers');
export type VaultConfig = z.output<typeof vaultSchema>;

export const connectSchema = z
  .strictObject({
    login: z
      .strictObject({
        issuer: endpointUrl().describe('OpenID provider; the `issuer` of the methods by which the same people call'),
        ...client,
        scopes: z.array(scopeToken()).default(['openid']).describe('Asked for at sign-in'),
        subjectClaim: z
          .string()
          .min(1)
          .optional()
          .describe(
            'Claim of the ID token that names the person as the method does by which the same people call; `sub`',
          ),
      })
      .superRefine(checkClient)
      .optional()
      .describe('Where people sign in before they connect an account'),
    cookieKeys: z.array(secret()).default([]).describe('32 bytes each, in base64; the first seals, all open'),
  })
  .describe('The pages on which people connect their accounts');
export type ConnectConfig = z.output<typeof connectSchema>;
