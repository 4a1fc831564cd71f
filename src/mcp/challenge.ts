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
 * The Bearer challenge of one refusal (RFC 6750 3, RFC 9728 5.1). It depends on the route, the reason and the
 * scopes only, so that challenges for one cause are byte-identical: MCP clients loop when they differ.
 * @param resource undefined on routes that accept no tokens
 * @param scopes all that the call needs
 */
export function challengeText(wire: Wire, resource: string | undefined, scopes: readonly string[]): string {
  return challenge('Bearer', parametersOf(wire, resource, scopes));
}

/**
 * The DPoP challenge of the same refusal (RFC 9449 7.1).
 * @param algorithms accepted `alg` values of proofs
 */
export function dpopChallengeText(
  wire: Wire,
  resource: string | undefined,
  scopes: readonly string[],
  algorithms: readonly string[],
): string {
  return challenge('DPoP', [...parametersOf(wire, resource, scopes), ['algs', algorithms.join(' ')]]);
}

type Parameter = readonly [name: string, value: string];

function parametersOf(wire: Wire, resource: string | undefined, scopes: readonly string[]): Parameter[] {
  const metadata: Parameter | undefined =
    resource === undefined ? undefined : ['resource_metadata', resourceMetadataUrl(resource)];
  const scope: Parameter | undefined = scopes.length > 0 ? ['scope', scopes.join(' ')] : undefined;
  const parameters: (Parameter | undefined)[] =
    wire.challenge === 'bare'
      ? [metadata, scope]
      : [['error', wire.challenge], ['error_description', wire.message], scope, metadata];
  return parameters.filter((parameter) => parameter !== undefined);
}

function challenge(scheme: string, parameters: readonly Parameter[]): string {
  const text = parameters.map(([name, value]) => `${name}="${value}"`);
  return text.length > 0 ? `${scheme} ${text.join(', ')}` : scheme;
}
