import { createHash } from 'node:crypto';
import type { UpstreamProviderConfig } from './schema.ts';

export interface AuthorizationInput {
  readonly redirectUri: string;
  readonly state: string;
  /** RFC 7636: 43 to 128 characters, kept by the caller until the callback; only its S256 challenge goes out. */
  readonly codeVerifier: string;
}

/** What we set ourselves or rely on; a configuration must not change it behind our back. */
const PROTOCOL_PARAMETERS: ReadonlySet<string> = new Set([
  'response_type',
  'response_mode',
  'client_id',
  'client_secret',
  'redirect_uri',
  'scope',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'resource',
  'request',
  'request_uri',
]);

/** The name in `authorizeParams` that belongs to the protocol, if there is one. */
export function reservedParameter(authorizeParams: Readonly<Record<string, string>>): string | undefined {
  return Object.keys(authorizeParams).find((parameter) => PROTOCOL_PARAMETERS.has(parameter));
}

type Asked = Pick<UpstreamProviderConfig, 'clientId' | 'scopes' | 'resource' | 'authorizeParams'>;

/** Where the browser is sent to connect an account: code flow, PKCE S256, RFC 8707 resource. */
export function authorizationUrl(endpoint: string, config: Asked, input: AuthorizationInput): string {
  const url = new URL(endpoint); // RFC 6749 3.1: a query of its own is kept
  const set = (parameter: string, value: string) => url.searchParams.set(parameter, value);
  for (const [parameter, value] of Object.entries(config.authorizeParams)) set(parameter, value);
  set('response_type', 'code');
  set('client_id', config.clientId);
  set('redirect_uri', input.redirectUri);
  if (config.scopes.length > 0) set('scope', config.scopes.join(' '));
  set('state', input.state);
  set('code_challenge', createHash('sha256').update(input.codeVerifier, 'ascii').digest('base64url'));
  set('code_challenge_method', 'S256');
  if (config.resource !== undefined) set('resource', config.resource);
  return url.href;
}
