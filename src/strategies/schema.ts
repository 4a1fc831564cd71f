import { z } from 'zod';
import { duration, headerName, headerValue, scopeToken } from '../core/scalars.ts';

/** What the list form of `claimInjection.claims` knows. */
const LISTED_CLAIMS = { sub: 'X-User-Sub', email: 'X-User-Email', name: 'X-User-Name' } as const;

const unauthenticated = z.strictObject({ type: z.literal('unauthenticated') });

const headerInjection = z.strictObject({
  type: z.literal('header_injection'),
  headerInjection: z
    .strictObject({
      headerName: headerName().describe('Header that is set'),
      secret: z.string().min(1).optional().describe('Name of an entry under `secrets` in the config file'),
      value: headerValue().optional().describe('A value that is no secret'),
    })
    .refine((block) => (block.secret === undefined) !== (block.value === undefined), 'give either `secret` or `value`')
    .describe('The same header for everybody'),
});

const claimInjection = z.strictObject({
  type: z.literal('claim_injection'),
  claimInjection: z
    .strictObject({
      claims: z
        .union([
          z
            .array(z.enum(['sub', 'email', 'name']))
            .min(1)
            .transform((names) => Object.fromEntries(names.map((name) => [name, LISTED_CLAIMS[name]]))),
          z.record(z.string().min(1), headerName()),
        ])
        .default({ sub: LISTED_CLAIMS.sub })
        .describe('A list of sub, email, name; or claim path → header name'),
    })
    .prefault({})
    .describe('Claims of the caller as headers'),
});

/** The default is empty, not absent: validation says V-06, which tells more than a missing key. */
const providerName = z.string().default('').describe('Name of an entry under `upstreamProviders`');

const tokenExchange = z.strictObject({
  type: z.literal('token_exchange'),
  tokenExchange: z
    .strictObject({
      exchange: z.string().min(1).describe('Name of an entry under `tokenExchanges`'),
      audience: z.string().min(1).optional().describe('RFC 8693 `audience`: the name of the target service'),
      resource: z
        .union([
          z
            .string()
            .min(1)
            .transform((one) => [one]),
          z.array(z.string().min(1)).min(1),
        ])
        .optional()
        .describe('RFC 8693 `resource`: the URL of the target service, or several'),
      scopes: z.array(scopeToken()).optional().describe('Asked for; default: what the endpoint chooses'),
      subjectProviderName: z.string().optional().describe('Use the token of the user at this provider as the subject'),
      subjectTokenType: z.string().min(1).optional().describe('Default: that of an access token'),
      requestedTokenType: z.string().min(1).optional().describe('Default: what the endpoint chooses'),
      actor: z.enum(['none', 'self']).default('none').describe('self: the service names itself as the actor'),
    })
    .describe('A token of the caller is exchanged for one that the backend accepts (RFC 8693)'),
});

const upstreamInject = z.strictObject({
  type: z.literal('upstream_inject'),
  upstreamInject: z
    .strictObject({
      providerName,
      onMissing: z
        .enum(['auto', 'elicit', 'tool_error', 'deny'])
        .default('auto')
        .describe('How a caller without an account is sent to connect it'),
      unconnected: z
        .enum(['forward', 'deny'])
        .default('forward')
        .describe('Whether methods that only open or list go on without a credential'),
    })
    .prefault({})
    .describe('The token of the caller at an upstream provider, always fresh'),
});

const awsSts = z.strictObject({
  type: z.literal('aws_sts'),
  awsSts: z
    .strictObject({
      region: z
        .string()
        .regex(/^[a-z0-9-]+$/, 'must be an AWS region such as eu-central-1')
        .describe('Region in the signature, such as eu-central-1'),
      service: z
        .string()
        .regex(/^[a-z0-9-]+$/, 'must be an AWS service name such as execute-api')
        .describe('Service in the signature, such as execute-api'),
      host: z
        .string()
        .regex(/^[A-Za-z0-9.-]+(:\d+)?$/, 'must be a host name, with a port if needed')
        .describe('Host the request is signed for and sent to'),
      roleMappings: z
        .array(
          z.strictObject({
            claim: z.string().min(1).describe('Claim that is looked at; dotted paths allowed'),
            value: z.string().min(1).describe('What it must equal, or hold as one of its elements'),
            roleArn: z
              .string()
              .regex(/^arn:[\w-]+:iam::\d{12}:role\/.+$/, 'must be the ARN of a role')
              .describe('The role then'),
            priority: z.int().default(0).describe('The lowest wins; on ties the order here'),
          }),
        )
        .default([])
        .describe('Which role a caller gets'),
      fallbackRoleArn: z
        .string()
        .regex(/^arn:[\w-]+:iam::\d{12}:role\/.+$/, 'must be the ARN of a role')
        .optional()
        .describe('The role when no mapping fits; without it: 403'),
      sessionNameClaim: z.string().min(1).default('sub').describe('Claim that names the session in CloudTrail'),
      sessionDuration: duration()
        .prefault('1h')
        .refine((ms) => ms >= 900_000 && ms <= 43_200_000, 'must lie between 15m and 12h (AWS STS)')
        .describe('Lifetime of the credentials, from 15m to 12h'),
      subjectProviderName: z
        .string()
        .optional()
        .describe('Use the token of the user at this provider as the web identity'),
    })
    .describe('Requests are signed with credentials of a role (AssumeRoleWithWebIdentity, SigV4)'),
});

/** `outgoingAuth` of a route: one strategy, exclusive. */
export const outgoingAuthSchema = z.discriminatedUnion('type', [
  unauthenticated,
  headerInjection,
  claimInjection,
  tokenExchange,
  upstreamInject,
  awsSts,
]);

export type OutgoingAuth = z.output<typeof outgoingAuthSchema>;
export type OutgoingAuthOf<T extends OutgoingAuth['type']> = Extract<OutgoingAuth, { type: T }>;
