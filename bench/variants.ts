/** Which listener of Envoy, and so which filters a request meets. */
export type Listener =
  | 'plain'
  | 'jwt_authn'
  | 'jwt_authn_cache'
  | 'go'
  | 'go_cache'
  | `${Service}_authz`
  | `${Service}_authz_proc`;

/** `ours` is this checkout, `other` the one named by `--against`. */
export type Service = 'ours' | 'other';

export interface Variant {
  readonly name: string;
  readonly listener: Listener;
  /** Path prefix of the route. */
  readonly prefix: string;
  /** Every request carries another token. */
  readonly distinctTokens?: boolean;
  /** The request presents a session that was opened before. */
  readonly session?: boolean;
  /** Part of `--quick`. */
  readonly quick?: boolean;
  /** Part of `--guard`. */
  readonly guard?: boolean;
}

/** What every measured policy has. */
export const RESOURCE = 'https://mcp.example.com/mcp';
export const PROVIDER = 'github';
const CLAIMS = { sub: 'X-User-Sub', email: 'X-User-Email', name: 'X-User-Name' };
const base = { resource: RESOURCE, incomingAuth: ['corp'] };
const claims = { ...base, outgoingAuth: { type: 'claim_injection', claimInjection: { claims: CLAIMS } } };
const plain = { ...base, outgoingAuth: { type: 'unauthenticated' } };
const ATTRIBUTES = ['id', 'issuer', 'email', 'full_name', 'groups', 'auth_method'];
const propagated = (sign: string, mode = 'headers') => ({
  ...plain,
  identityPropagation: { mode, attributes: ATTRIBUTES, sign },
});

/** Policies of the routes with ext_authz alone, by prefix. */
export const AUTHZ_POLICIES: Readonly<Record<string, object>> = {
  '/claims': claims,
  // Envoy sends the members of a policy in an order that varies: this one has millions of byte forms.
  '/large': {
    ...claims,
    scopes: ['mcp:read'],
    passthroughHeaders: ['X-Trace-Id', 'X-Tenant-Id'],
    headerForward: { plaintext: { 'X-Api-Version': '2', 'X-Region': 'eu', 'X-Client': 'gateway' } },
    identityPropagation: { mode: 'headers', headersPrefix: 'X-Caller', attributes: ['id'], sign: 'none' },
    session: { bind: false, passthroughCapture: 'request', identityFallback: 'none' },
  },
  '/inject': {
    ...base,
    outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: PROVIDER, onMissing: 'deny' } },
  },
  '/forwarded': propagated('none'),
  '/hmac': propagated('hmac'),
  '/jws': propagated('jws'),
};

/** Policies of the routes that go through ext_proc too, by prefix. */
export const PROC_POLICIES: Readonly<Record<string, object>> = {
  '/headers': claims,
  '/meta': propagated('none', 'meta'),
  '/session': { ...claims, session: { bind: true } },
};

const PEERS: readonly Variant[] = [
  { name: 'Envoy alone', listener: 'plain', prefix: '/claims', quick: true },
  { name: 'Envoy jwt_authn', listener: 'jwt_authn', prefix: '/claims' },
  { name: 'Envoy jwt_authn, its cache', listener: 'jwt_authn_cache', prefix: '/claims' },
  { name: 'Go, verifies each time', listener: 'go', prefix: '/claims', quick: true, guard: true },
  { name: 'Go, token cache', listener: 'go_cache', prefix: '/claims', quick: true, guard: true },
];

type OwnVariant = Omit<Variant, 'listener'> & { readonly proc?: true };

const OWN: readonly OwnVariant[] = [
  { name: 'claim_injection, hit', prefix: '/claims', quick: true, guard: true },
  { name: 'claim_injection, large policy', prefix: '/large' },
  { name: 'claim_injection, miss', prefix: '/claims', distinctTokens: true },
  { name: 'upstream_inject, hit', prefix: '/inject' },
  { name: 'forwarded-user headers', prefix: '/forwarded' },
  { name: 'assertion, hmac', prefix: '/hmac' },
  { name: 'assertion, jws', prefix: '/jws' },
  { name: 'ext_proc, headers only', prefix: '/headers', proc: true },
  { name: 'ext_proc, _meta', prefix: '/meta', proc: true },
  { name: 'ext_proc, session', prefix: '/session', proc: true, session: true },
];

/** All variants; with `against`, those of the other checkout follow ours one by one. */
export function allVariants(against: boolean): Variant[] {
  const services: readonly Service[] = against ? ['ours', 'other'] : ['ours'];
  const own = OWN.flatMap(({ proc, ...variant }) =>
    services.map(
      (service): Variant => ({
        ...variant,
        name: `${service}: ${variant.name}`,
        listener: proc ? `${service}_authz_proc` : `${service}_authz`,
      }),
    ),
  );
  return [...PEERS, ...own];
}

/** Names that ratios are made with. */
export const HIT = 'ours: claim_injection, hit';
export const GO = 'Go, verifies each time';
export const GO_CACHED = 'Go, token cache';
