import type { Tools } from '../core/ports.ts';
import type { Egress } from '../net/egress.ts';
import { createAnonymous } from './anonymous.ts';
import { createJwt } from './jwt.ts';
import type { IncomingMethod } from './method.ts';
import type { IncomingMethodConfig } from './schema.ts';
import { VerifiedTokens } from './verified-tokens.ts';

/** What methods are built from. */
interface MethodParts {
  readonly tools: Tools;
  readonly egress: Egress;
  readonly verifiedTokens: VerifiedTokens;
}

type Type = IncomingMethodConfig['type'];
type ConfigOf<T extends Type> = Extract<IncomingMethodConfig, { type: T }>;
type Factories = {
  readonly [T in Type]: ((name: string, config: ConfigOf<T>, parts: MethodParts) => IncomingMethod) | undefined;
};

/** One line per kind; the config word is the file name. */
const FACTORIES: Factories = {
  jwt: (name, config, { tools, egress, verifiedTokens }) => createJwt(name, config, tools, egress, verifiedTokens),
  introspection: undefined,
  api_key: undefined,
  basic: undefined,
  trusted_proxy: undefined,
  anonymous: (name) => createAnonymous(name),
};

/**
 * Prepares every entry of `incomingAuth`.
 * @throws when an entry is of a kind that is not available
 */
export function createMethods(
  incomingAuth: Readonly<Record<string, IncomingMethodConfig>>,
  tools: Tools,
  egress: Egress,
): Map<string, IncomingMethod> {
  const parts = { tools, egress, verifiedTokens: new VerifiedTokens(tools.metrics) };
  return new Map(Object.entries(incomingAuth).map(([name, config]) => [name, create(name, config, parts)]));
}

function create<T extends Type>(name: string, config: ConfigOf<T>, parts: MethodParts): IncomingMethod {
  const factory: Factories[T] = FACTORIES[config.type];
  if (!factory) throw new Error(`incomingAuth.${name}: the type ${config.type} is not available in this version`);
  return factory(name, config, parts);
}
