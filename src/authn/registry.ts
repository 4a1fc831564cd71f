import type { Keep, Tools } from '../core/ports.ts';
import type { Tracer } from '../core/tracer.ts';
import type { Egress } from '../net/egress.ts';
import { createAnonymous } from './anonymous.ts';
import { createApiKey } from './api-key.ts';
import { createBasic } from './basic.ts';
import { type DpopParts, withProofs } from './dpop.ts';
import { createIntrospection } from './introspection.ts';
import { createJwt } from './jwt.ts';
import { KeySet } from './key-set.ts';
import type { IncomingMethod } from './method.ts';
import { PasswordThrottle } from './password-throttle.ts';
import type { IncomingMethodConfig } from './schema.ts';
import { createTrustedProxy } from './trusted-proxy.ts';
import { VerifiedTokens } from './verified-tokens.ts';

/** What methods are built from. */
interface MethodParts {
  /** Holds what belongs to the method. */
  readonly keep: Keep;
  readonly egress: Egress;
  readonly verifiedTokens: VerifiedTokens;
}

type Type = IncomingMethodConfig['type'];
type ConfigOf<T extends Type> = Extract<IncomingMethodConfig, { type: T }>;
type Factories = {
  readonly [T in Type]: (name: string, config: ConfigOf<T>, tools: Tools, parts: MethodParts) => IncomingMethod;
};

/** One line per kind; the config word is the file name. */
const FACTORIES: Factories = {
  jwt: (name, config, tools, { verifiedTokens, ...parts }) =>
    createJwt(name, config, tools, verifiedTokens, keysOf(name, config, parts)),
  introspection: (name, config, tools, { egress }) => createIntrospection(name, config, tools, egress),
  api_key: createApiKey,
  basic: (name, config, tools, { keep }) => createBasic(name, config, tools, throttleOf(name, config, keep)),
  trusted_proxy: createTrustedProxy,
  anonymous: (name) => createAnonymous(name),
};

/** Room for user names that are added later: another size is another throttle, which knows of no guesses. */
const THROTTLED_USERS = 1_024;

/** Keys stay known when a method changes what it asks of a token: its issuer may be down at that time. */
function keysOf(
  method: string,
  { issuer, jwksUri }: ConfigOf<'jwt'>,
  { keep, egress }: Pick<MethodParts, 'keep' | 'egress'>,
): KeySet {
  const source = { method, issuer, jwksUri };
  return keep.take('issuer keys', source, (tools) => new KeySet(source, tools, egress));
}

/** Guesses stay counted when a user is added or a password changes. */
function throttleOf(method: string, { users }: ConfigOf<'basic'>, keep: Keep): PasswordThrottle {
  const maxUsers = THROTTLED_USERS * Math.ceil(users.length / THROTTLED_USERS);
  return keep.take('password throttle', { method, maxUsers }, () => new PasswordThrottle(maxUsers));
}

/**
 * Prepares every entry of `incomingAuth`.
 * @throws when an entry holds what no method can work with; validation says so first
 */
export function createMethods(
  incomingAuth: Readonly<Record<string, IncomingMethodConfig>>,
  keep: Keep,
  egress: Egress,
  dpop: DpopParts,
  tracer?: Tracer,
): Map<string, IncomingMethod> {
  const verifiedTokens = keep.take('verified tokens', {}, ({ metrics }) => new VerifiedTokens(metrics));
  const parts = { egress, verifiedTokens };
  return new Map(
    Object.entries(incomingAuth).map(([name, config]) => [name, create(name, config, keep, parts, dpop, tracer)]),
  );
}

function create<T extends Type>(
  name: string,
  config: ConfigOf<T>,
  keep: Keep,
  parts: Omit<MethodParts, 'keep'>,
  dpop: DpopParts,
  tracer: Tracer | undefined,
): IncomingMethod {
  const factory: Factories[T] = FACTORIES[config.type];
  const method = keep.take(
    'method',
    { name, config },
    (tools, own) => factory(name, config, tools, { ...parts, keep: own }),
    (unused) => unused.close?.(),
  );
  const proved =
    'dpop' in config && config.dpop !== 'off'
      ? withProofs(method, { dpop: config.dpop, dpopNonce: config.dpopNonce }, dpop)
      : method;
  return traced(proved, tracer);
}

/** A credential that has to be looked at is a step of the trace; one that is known already is none. */
function traced(method: IncomingMethod, tracer: Tracer | undefined): IncomingMethod {
  if (!tracer) return method;
  const attributes = { 'mcp_identity.method': method.name };
  return {
    ...method,
    authenticate: (facts, authorization, signal) =>
      tracer.step(`authenticate ${method.type}`, attributes, () => method.authenticate(facts, authorization, signal)),
  };
}
