import type { Tools } from '../core/ports.ts';
import type { Tracer } from '../core/tracer.ts';
import type { Egress } from '../net/egress.ts';
import { createAnonymous } from './anonymous.ts';
import { createApiKey } from './api-key.ts';
import { createBasic } from './basic.ts';
import { type DpopParts, withProofs } from './dpop.ts';
import { createIntrospection } from './introspection.ts';
import { createJwt } from './jwt.ts';
import type { IncomingMethod } from './method.ts';
import type { IncomingMethodConfig } from './schema.ts';
import { createTrustedProxy } from './trusted-proxy.ts';
import { VerifiedTokens } from './verified-tokens.ts';

/** What methods are built from. */
interface MethodParts {
  readonly tools: Tools;
  readonly egress: Egress;
  readonly verifiedTokens: VerifiedTokens;
  readonly dpop: DpopParts;
}

type Type = IncomingMethodConfig['type'];
type ConfigOf<T extends Type> = Extract<IncomingMethodConfig, { type: T }>;
type Factories = {
  readonly [T in Type]: (name: string, config: ConfigOf<T>, parts: MethodParts) => IncomingMethod;
};

/** One line per kind; the config word is the file name. */
const FACTORIES: Factories = {
  jwt: (name, config, { tools, egress, verifiedTokens }) => createJwt(name, config, tools, egress, verifiedTokens),
  introspection: (name, config, { tools, egress }) => createIntrospection(name, config, tools, egress),
  api_key: (name, config, { tools }) => createApiKey(name, config, tools),
  basic: (name, config, { tools }) => createBasic(name, config, tools),
  trusted_proxy: (name, config, { tools }) => createTrustedProxy(name, config, tools),
  anonymous: (name) => createAnonymous(name),
};

/**
 * Prepares every entry of `incomingAuth`.
 * @throws when an entry holds what no method can work with; validation says so first
 */
export function createMethods(
  incomingAuth: Readonly<Record<string, IncomingMethodConfig>>,
  tools: Tools,
  egress: Egress,
  dpop: DpopParts,
): Map<string, IncomingMethod> {
  const parts = { tools, egress, verifiedTokens: new VerifiedTokens(tools.metrics), dpop };
  return new Map(Object.entries(incomingAuth).map(([name, config]) => [name, create(name, config, parts)]));
}

function create<T extends Type>(name: string, config: ConfigOf<T>, parts: MethodParts): IncomingMethod {
  const factory: Factories[T] = FACTORIES[config.type];
  const method = factory(name, config, parts);
  const proved =
    'dpop' in config && config.dpop !== 'off'
      ? withProofs(method, { dpop: config.dpop, dpopNonce: config.dpopNonce }, parts.dpop)
      : method;
  return traced(proved, parts.tools.tracer);
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
