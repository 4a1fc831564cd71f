import type { Secret } from './secret.ts';

/** How a caller proved who they are; the value of the `auth_method` attribute and of the audit field. */
export type AuthMethod = 'jwt' | 'introspection' | 'api_key' | 'basic' | 'trusted_proxy';

/** What may be told to backends about a person, already taken from the claims a method's `attributeClaims` name. */
export interface Attributes {
  readonly email?: string;
  readonly full_name?: string;
  readonly groups?: readonly string[];
  readonly roles?: readonly string[];
  readonly teams?: readonly string[];
  readonly is_admin?: boolean;
  readonly service_account?: string | boolean;
}

/**
 * An authenticated caller. Identity is the pair (issuer, subject); subjects of two issuers never meet.
 * One object stands for one credential and is shared by all requests that present it: never change it.
 */
export interface User {
  readonly kind: 'user';
  /** For methods without an issuer: `urn:envoy-mcp-identity:<method name>`. */
  readonly issuer: string;
  readonly subject: string;
  readonly authMethod: AuthMethod;
  /** The name under `incomingAuth` in the config file. */
  readonly methodName: string;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly attributes: Attributes;
  readonly scopes: ReadonlySet<string>;
  /** Outermost actor first (RFC 8693 4.1); empty without `act`. */
  readonly delegationChain: readonly string[];
  /** `aud` of the credential, for methods whose credentials are issued for an audience; the chain compares it. */
  readonly audiences?: readonly string[];
  /** The incoming token, for methods that carry one. */
  readonly token?: Secret;
  /** Thumbprint (RFC 7638) of the key that must prove each use of the token (RFC 9449 6); missing for bearer tokens. */
  readonly boundTo?: string;
  /** Seconds since the epoch after which the credential must not be used. */
  readonly expiresAt?: number;
}

export interface Anonymous {
  readonly kind: 'anonymous';
}

export type Identity = User | Anonymous;

export const ANONYMOUS: Anonymous = { kind: 'anonymous' };

/** A collision-free text of (issuer, subject) for keys: the issuer's length stands first. */
export function identityKey(user: { readonly issuer: string; readonly subject: string }): string {
  return `${user.issuer.length}:${user.issuer}${user.subject}`;
}
