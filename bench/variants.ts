/** `ours` is this checkout, `other` the one named by `--against`. */
export type Service = 'ours' | 'other';

/** Who else decides: a server of `bench/peers`. */
export type Peer = 'go' | 'go_cache' | 'opa' | 'node';

/** Which listener of Envoy, and so which filters a request meets. */
export type Listener =
  | 'plain'
  | 'jwt_authn'
  | 'jwt_authn_cache'
  | Peer
  | `${Service}_authz`
  | `${Service}_authz_proc`
  | 'ours_routes_100'
  | 'ours_routes_10000'
  | 'ours_two';

/** What is measured in one run: everything beside its peers; numbers of tokens, routes and processes; sizes of bodies. */
export type Table = 'services' | 'scale' | 'bodies';
export const TABLES: readonly Table[] = ['services', 'scale', 'bodies'];

export interface Variant {
  readonly name: string;
  readonly table: Table;
  readonly listener: Listener;
  /** Path prefix of the route; `{route}` stands for its number. */
  readonly prefix: string;
  /** How many tokens, each of another user, come in turn; default 1. `fresh`: no token comes twice. */
  readonly tokens?: number | 'fresh';
  /** How many routes are asked in turn. */
  readonly routes?: number;
  /** Default 361 bytes. */
  readonly bodyBytes?: number;
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
  '/tools': { ...claims, tools: { search: { scopes: ['mcp:write'] }, 'admin_*': { deny: true } } },
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

/** Route number `n` of many; no two have the same policy. */
export const numberedRoute = (n: number): { prefix: string; policy: Record<string, unknown> } => ({
  prefix: `/route/${String(n).padStart(5, '0')}`,
  policy: { ...claims, backend: `backend-${n}` },
});

const TWO: readonly Service[] = ['ours', 'other'];

type OwnVariant = Omit<Variant, 'listener'> & { readonly proc?: true };

const SERVICES: readonly (Variant | OwnVariant)[] = (
  [
    { name: 'Envoy alone', listener: 'plain', prefix: '/claims', quick: true },
    { name: 'Envoy jwt_authn', listener: 'jwt_authn', prefix: '/claims' },
    { name: 'Envoy jwt_authn, its cache', listener: 'jwt_authn_cache', prefix: '/claims' },
    { name: 'Go, verifies each time', listener: 'go', prefix: '/claims', quick: true, guard: true },
    { name: 'Go, token cache', listener: 'go_cache', prefix: '/claims', quick: true, guard: true },
    { name: 'Go with OPA, verifies each time', listener: 'opa', prefix: '/claims' },
    { name: 'Node, grpc-js and jose, verifies each time', listener: 'node', prefix: '/claims' },
    { name: 'claim_injection, hit', prefix: '/claims', quick: true, guard: true },
    { name: 'claim_injection, large policy', prefix: '/large' },
    { name: 'claim_injection, tool policy', prefix: '/tools' },
    { name: 'claim_injection, miss', prefix: '/claims', tokens: 'fresh' },
    { name: 'upstream_inject, hit', prefix: '/inject' },
    { name: 'forwarded-user headers', prefix: '/forwarded' },
    { name: 'assertion, hmac', prefix: '/hmac' },
    { name: 'assertion, jws', prefix: '/jws' },
    { name: 'ext_proc, headers only', prefix: '/headers', proc: true },
    { name: 'ext_proc, _meta', prefix: '/meta', proc: true },
    { name: 'ext_proc, headers only, 4 KiB', prefix: '/headers', proc: true, bodyBytes: 4_096 },
    { name: 'ext_proc, _meta, 4 KiB', prefix: '/meta', proc: true, bodyBytes: 4_096 },
    { name: 'ext_proc, session', prefix: '/session', proc: true, session: true },
  ] satisfies (Omit<Variant, 'table'> | Omit<OwnVariant, 'table'>)[]
).map((variant) => ({ ...variant, table: 'services' }));

const SCALE: readonly (Variant | OwnVariant)[] = (
  [
    { name: '1 live token', prefix: '/claims' },
    { name: '1,000 live tokens', prefix: '/claims', tokens: 1_000 },
    { name: '10,000 live tokens', prefix: '/claims', tokens: 10_000 },
    { name: '100,000 live tokens', prefix: '/claims', tokens: 100_000 },
    { name: '10,000 live tokens, upstream_inject', prefix: '/inject', tokens: 10_000 },
    { name: '100 routes', listener: 'ours_routes_100', prefix: '/route/{route}', routes: 100 },
    { name: '10,000 routes', listener: 'ours_routes_10000', prefix: '/route/{route}', routes: 10_000 },
    { name: 'two processes', listener: 'ours_two', prefix: '/claims' },
  ] satisfies (Omit<Variant, 'table'> | Omit<OwnVariant, 'table'>)[]
).map((variant) => ({ ...variant, table: 'scale' }));

const [KIB, MIB] = [1_024, 1_048_576];
const SIZES: readonly (readonly [string, number])[] = [
  ['1 KiB', KIB],
  ['64 KiB', 64 * KIB],
  ['1 MiB', MIB],
  ['10 MiB', 10 * MIB],
];
const BODIES: readonly OwnVariant[] = SIZES.flatMap(([size, bodyBytes]) =>
  [
    { name: `tool policy, ${size}`, prefix: '/tools' },
    { name: `ext_proc, _meta, ${size}`, prefix: '/meta', proc: true as const },
  ].map((variant) => ({ ...variant, table: 'bodies' as const, bodyBytes })),
);

/** All variants; with `against`, those of the other checkout follow ours one by one. */
export function allVariants(against: boolean): Variant[] {
  const services = against ? TWO : TWO.slice(0, 1);
  return [...SERVICES, ...SCALE, ...BODIES].flatMap((variant): Variant[] => {
    if ('listener' in variant) {
      return [variant.listener.startsWith('ours') ? { ...variant, name: `ours: ${variant.name}` } : variant];
    }
    const { proc, ...rest } = variant;
    return services.map((service) => ({
      ...rest,
      name: `${service}: ${variant.name}`,
      listener: proc ? `${service}_authz_proc` : `${service}_authz`,
    }));
  });
}

/** Names that ratios are made with. */
export const HIT = 'ours: claim_injection, hit';
export const ONE_TOKEN = 'ours: 1 live token';
export const GO = 'Go, verifies each time';
export const GO_CACHED = 'Go, token cache';
export const OPA = 'Go with OPA, verifies each time';
export const NODE = 'Node, grpc-js and jose, verifies each time';
export const JWT_AUTHN = 'Envoy jwt_authn';
export const PROC = 'ours: ext_proc, headers only, 4 KiB';
