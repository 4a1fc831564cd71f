import { z } from 'zod';
import { duration, headerName, headerValue, scopeToken } from '../core/scalars.ts';

/** What the list form of `claimInjection.claims` knows. */
export const LISTED_CLAIMS = { sub: 'X-User-Sub', email: 'X-User-Email', name: 'X-User-Name' } as const;

const unauthenticated = z.strictObject({ type: z.literal('unauthenticated') });

const headerInjection = z.strictObject({
  type: z.literal('header_injection'),
  headerInjection: z
    .strictObject({
      headerName: headerName(),
      secret: z.string().min(1).optional().describe('Name of an entry under `secrets` in the config file'),
      value: headerValue().optional().describe('A value that is no secret'),
    })
    .refine((block) => (block.secret === undefined) !== (block.value === undefined), 'give either `secret` or `value`'),
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
    .prefault({}),
});

/** The default is empty, not absent: validation says V-06, which tells more than a missing key. */
const providerName = z.string().default('').describe('Name of an entry under `upstreamProviders`');

const tokenExchange = z.strictObject({
  type: z.literal('token_exchange'),
  tokenExchange: z.strictObject({
    exchange: z.string().min(1).describe('Name of an entry under `tokenExchanges`'),
    audience: z.string().min(1).optional(),
    resource: z
      .union([
        z
          .string()
          .min(1)
          .transform((one) => [one]),
        z.array(z.string().min(1)).min(1),
      ])
      .optional(),
    scopes: z.array(scopeToken()).optional(),
    subjectProviderName: z.string().optional().describe('Use the token of the user at this provider as the subject'),
    subjectTokenType: z.string().min(1).optional(),
    requestedTokenType: z.string().min(1).optional(),
    actor: z.enum(['none', 'self']).default('none'),
  }),
});

const upstreamInject = z.strictObject({
  type: z.literal('upstream_inject'),
  upstreamInject: z
    .strictObject({
      providerName,
      onMissing: z.enum(['auto', 'elicit', 'tool_error', 'deny']).default('auto'),
      unconnected: z.enum(['forward', 'deny']).default('forward'),
    })
    .prefault({}),
});

const awsSts = z.strictObject({
  type: z.literal('aws_sts'),
  awsSts: z.strictObject({
    region: z.string().regex(/^[a-z0-9-]+$/, 'must be an AWS region such as eu-central-1'),
    service: z.string().regex(/^[a-z0-9-]+$/, 'must be an AWS service name such as execute-api'),
    host: z.string().regex(/^[A-Za-z0-9.-]+(:\d+)?$/, 'must be a host name, with a port if needed'),
    roleMappings: z
      .array(
        z.strictObject({
          claim: z.string().min(1),
          value: z.string().min(1),
          roleArn: z.string().regex(/^arn:[\w-]+:iam::\d{12}:role\/.+$/, 'must be the ARN of a role'),
          priority: z.int().default(0),
        }),
      )
      .default([]),
    fallbackRoleArn: z
      .string()
      .regex(/^arn:[\w-]+:iam::\d{12}:role\/.+$/, 'must be the ARN of a role')
      .optional(),
    sessionNameClaim: z.string().min(1).default('sub'),
    sessionDuration: duration()
      .prefault('1h')
      .refine((ms) => ms >= 900_000 && ms <= 43_200_000, 'must lie between 15m and 12h (AWS STS)'),
    subjectProviderName: z.string().optional(),
  }),
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
