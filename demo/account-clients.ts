import type { ClientMetadata } from 'oidc-provider';
import type { TrackerOptions } from './tracker.ts';

/** The service as a client of the identity provider: where people sign in before they connect an account. */
export function connectPagesClient(publicUrl: string, secret: string): ClientMetadata {
  return {
    client_id: 'connect-pages',
    client_name: 'Pages of connected accounts',
    client_secret: secret,
    redirect_uris: [`${publicUrl}/connect/login/callback`],
    grant_types: ['authorization_code'],
  };
}

/** The service as a client of the tracker. */
export function trackerClient(publicUrl: string, secret: string): TrackerOptions['client'] {
  return { id: 'mcp-identity', secret, redirectUri: `${publicUrl}/connect/callback/tracker` };
}
