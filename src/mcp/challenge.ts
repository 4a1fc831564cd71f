import type { Wire } from '../core/refusal.ts';

/**
 * Where the protected-resource metadata of `resource` is (RFC 9728 3.1): the well-known path goes between host and
 * path; a lone trailing slash of an origin is dropped.
 */
export function resourceMetadataUrl(resource: string): string {
  const url = new URL(resource);
  const path = url.pathname === '/' ? '' : url.pathname;
  return `${url.origin}/.well-known/oauth-protected-resource${path}${url.search}`;
}

/**
 * The WWW-Authenticate value of one refusal (RFC 6750 3, RFC 9728 5.1). It depends on the route, the reason and the
 * scopes only, so that challenges for one cause are byte-identical: MCP clients loop when they differ.
 * @param resource undefined on routes that accept no tokens
 * @param scopes all that the call needs
 */
export function challengeText(wire: Wire, resource: string | undefined, scopes: readonly string[]): string {
  const metadata = resource === undefined ? undefined : ['resource_metadata', resourceMetadataUrl(resource)];
  const scope = scopes.length > 0 ? ['scope', scopes.join(' ')] : undefined;
  const parameters =
    wire.challenge === 'bare'
      ? [metadata, scope]
      : [['error', wire.challenge], ['error_description', wire.message], scope, metadata];
  const text = parameters.filter((parameter) => parameter !== undefined).map(([name, value]) => `${name}="${value}"`);
  return text.length > 0 ? `Bearer ${text.join(', ')}` : 'Bearer';
}
