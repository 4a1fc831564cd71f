import { z } from 'zod';
import { entryName, scopeToken } from '../core/scalars.ts';
import { headerForwardSchema, identityPropagationSchema } from '../propagation/schema.ts';
import { outgoingAuthSchema } from '../strategies/schema.ts';

export const NAMESPACE = 'mcp.identity';

const toolSchema = z.strictObject({
  scopes: z.array(scopeToken()).default([]).describe('Needed beside the scopes of the route'),
  deny: z.boolean().default(false).describe('Closed to everyone, whatever their scopes'),
});

/** Metadata of one Envoy route under `mcp.identity` (contract §4). What names mean is checked in validate.ts. */
export const routePolicySchema = z.strictObject({
  backend: entryName().describe('Names the backend in audit, metrics and assertions'),
  resource: z.string().min(1).optional().describe('RFC 8707/9728 identifier of this MCP server: the URL clients use'),
  incomingAuth: z
    .array(z.string().min(1))
    .min(1, 'must name at least one entry of `incomingAuth` in the config file')
    .describe('Methods that are accepted here, asked in this order'),
  scopes: z.array(scopeToken()).default([]).describe('Needed for every request'),
  tools: z.record(z.string().min(1), toolSchema).default({}).describe('Tool name or pattern with * → what it needs'),
  filterLists: z
    .boolean()
    .default(false)
    .describe('Take out of `tools/list` what `tools` and scopes keep the caller from calling; needs ext_proc'),
  outgoingAuth: outgoingAuthSchema.describe('What the backend gets in place of the credential of the caller'),
  passthroughHeaders: z.array(z.string()).default([]).describe('Further headers of the client that reach the backend'),
  headerForward: headerForwardSchema.prefault({}),
  identityPropagation: identityPropagationSchema
    .optional()
    .describe('Tell the backend who the user is; off unless present'),
  validateMcpHeaders: z
    .boolean()
    .default(false)
    .describe(
      'Refuse requests whose Mcp-* headers do not match the body (2026-07-28), on behalf of a backend that does not',
    ),
  session: z
    .strictObject({
      bind: z.boolean().default(false).describe('Seal the session id of the backend together with its user'),
      passthroughCapture: z
        .enum(['request', 'session'])
        .default('request')
        .describe('session: deliver the passthrough values of the request that opened the session'),
      identityFallback: z
        .enum(['none', 'delete'])
        .default('none')
        .describe('delete: a DELETE without any credential acts for the user of the session'),
    })
    .prefault({})
    .describe('Sessions of the revisions up to 2025-11-25; needs ext_proc'),
});

export type RoutePolicy = z.output<typeof routePolicySchema>;

/** True when `Check` must see the body of every request of this route. */
export function decidesOnBody(policy: RoutePolicy): boolean {
  return Object.keys(policy.tools).length > 0 || policy.filterLists || policy.validateMcpHeaders;
}

/** True when the policy asks for what only ext_proc can do. */
export function needsExtProc(policy: RoutePolicy): boolean {
  const { identityPropagation: propagation, outgoingAuth, session } = policy;
  return (
    policy.filterLists ||
    (propagation !== undefined && propagation.mode !== 'headers') ||
    outgoingAuth.type === 'aws_sts' ||
    session.bind
  );
}

/** The `_meta` key that is ours on this route; undefined where bodies are left alone. */
export function editedMetaKey(policy: RoutePolicy): string | undefined {
  const propagation = policy.identityPropagation;
  return propagation && propagation.mode !== 'headers' ? propagation.metaKey : undefined;
}

/** True when the strategy uses the user's own token at an upstream provider, so that an account must be connected. */
function usesUpstreamToken({ outgoingAuth }: RoutePolicy): boolean {
  if (outgoingAuth.type === 'token_exchange') return outgoingAuth.tokenExchange.subjectProviderName !== undefined;
  if (outgoingAuth.type === 'aws_sts') return outgoingAuth.awsSts.subjectProviderName !== undefined;
  return outgoingAuth.type === 'upstream_inject';
}

/** True when Envoy must hand the body to `Check`: to decide on it, or to answer about a missing account (contract §5). */
export function needsCheckBody(policy: RoutePolicy): boolean {
  return decidesOnBody(policy) || usesUpstreamToken(policy);
}

/** True when the bytes of the body go into a signature, so that ext_proc must see them. */
export function signsBody(policy: RoutePolicy): boolean {
  return policy.outgoingAuth.type === 'aws_sts';
}
