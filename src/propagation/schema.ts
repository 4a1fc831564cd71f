import { z } from 'zod';
import { headerName, headerValue } from '../core/scalars.ts';

export const ATTRIBUTES = [
  'id',
  'issuer',
  'email',
  'full_name',
  'groups',
  'roles',
  'teams',
  'is_admin',
  'auth_method',
  'service_account',
  'delegation_chain',
] as const;
export type AttributeName = (typeof ATTRIBUTES)[number];

const HEADER_PART = /^[A-Za-z0-9][A-Za-z0-9-]*$/;

export const identityPropagationSchema = z.strictObject({
  mode: z
    .enum(['headers', 'meta', 'both'])
    .describe('Where: headers, `_meta` of each JSON-RPC request (needs ext_proc), or both'),
  headersPrefix: z
    .string()
    .regex(HEADER_PART, 'must be letters, digits and dashes')
    .max(64)
    .default('X-Forwarded-User')
    .describe('Beginning of the header names'),
  attributes: z.array(z.enum(ATTRIBUTES)).default(['id']).describe('What the backend learns; each by its own choice'),
  claims: z
    .record(z.string().min(1), z.string().regex(HEADER_PART, 'must be letters, digits and dashes').max(64))
    .default({})
    .describe('Further claims: claim path → end of the header name'),
  sign: z
    .enum(['none', 'hmac', 'jws'])
    .default('none')
    .describe('Adds <prefix>-Assertion, a compact JWS: by a key of the backend (hmac) or a public one (jws)'),
  metaKey: z.string().min(1).default('user').describe('Key inside params._meta'),
});
export type IdentityPropagation = z.output<typeof identityPropagationSchema>;

export const headerForwardSchema = z
  .strictObject({
    plaintext: z.record(headerName(), headerValue()).default({}).describe('Header → value that is no secret'),
    secrets: z
      .record(headerName(), z.string().min(1))
      .default({})
      .describe('Header → name of an entry under `secrets`'),
  })
  .describe('Static headers for the backend');
export type HeaderForward = z.output<typeof headerForwardSchema>;
