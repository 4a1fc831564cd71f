import {
  allowInsecureRequests,
  type AuthorizationServer,
  customFetch,
  discoveryRequest,
  processDiscoveryResponse,
} from 'oauth4webapi';
import type { EgressFetch } from './egress.ts';
import { EgressError } from './egress-error.ts';

/**
 * The metadata document of an authorization server: OpenID Connect Discovery 1.0 first, then RFC 8414.
 * @throws EgressError when the server cannot be reached; Error when it has no document, or one that is not its own
 */
export async function discover(issuer: string, fetch: EgressFetch, signal: AbortSignal): Promise<AuthorizationServer> {
  try {
    return await read(issuer, 'oidc', fetch, signal);
  } catch (error) {
    // Where nobody answers at one path, nobody will at the other.
    if (error instanceof EgressError && error.code !== 'redirect' && error.code !== 'too_large') throw error;
  }
  return read(issuer, 'oauth2', fetch, signal);
}

async function read(
  issuer: string,
  algorithm: 'oidc' | 'oauth2',
  fetch: EgressFetch,
  signal: AbortSignal,
): Promise<AuthorizationServer> {
  const expected = new URL(issuer);
  // Egress itself refuses http outside of loopback.
  const response = await discoveryRequest(expected, {
    algorithm,
    signal,
    [customFetch]: fetch,
    [allowInsecureRequests]: true,
  });
  const metadata = await processDiscoveryResponse(expected, response);
  // RFC 8414 3.3 asks for identity; oauth4webapi compares normalised URLs.
  if (metadata.issuer !== issuer) throw new Error('the issuer in the metadata document is another one');
  // An issuer on the network must not point us at services of this machine, such as Envoy's admin address.
  const local =
    expected.protocol === 'https:' &&
    Object.values(metadata).some((value) => typeof value === 'string' && value.startsWith('http:'));
  if (local) throw new Error('the metadata document of an https issuer names an http address');
  return metadata;
}
