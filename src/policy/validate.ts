import type { Problem } from '../core/problem.ts';
import { schemaProblems } from '../core/schema-problems.ts';
import { type RoutePolicy, routePolicySchema } from './route-policy.ts';
import type { Rule } from './rule.ts';
import {
  passthroughCollisions,
  passthroughNames,
  secretHeaders,
  unwritableHeaders,
  writtenTwice,
} from './rules/headers.ts';
import { metaKey } from './rules/meta-key.ts';
import { emptyProvider, signingKey, undefinedNames, unknownProvider, upstreamTokens } from './rules/names.ts';
import { resourceForm, resourceMissing } from './rules/resource.ts';
import { sessions } from './rules/session.ts';
import { aimlessExchange, connectable, incomingToken } from './rules/strategies.ts';
import { urls } from './rules/urls.ts';
import type { World } from './world.ts';

/** Everything that can be said of one policy without its route. */
const RULES: readonly Rule[] = [
  upstreamTokens,
  unknownProvider,
  aimlessExchange,
  emptyProvider,
  resourceMissing,
  resourceForm,
  passthroughNames,
  passthroughCollisions,
  writtenTwice,
  unwritableHeaders,
  undefinedNames,
  signingKey,
  secretHeaders,
  urls,
  metaKey,
  sessions,
  incomingToken,
  connectable,
];

export interface Validation {
  /** There when no problem is an error. */
  readonly policy?: RoutePolicy;
  /** The policy has the right shape, whatever else is wrong with it; for checks of the route around it. */
  readonly shape?: RoutePolicy;
  /** Paths start at the policy. */
  readonly problems: readonly Problem[];
}

/**
 * Validates the `mcp.identity` metadata of a route, at start and at run time alike (contract §4, §8).
 * @param raw the decoded Struct
 */
export function validatePolicy(raw: unknown, world: World): Validation {
  const parsed = routePolicySchema.safeParse(raw);
  if (!parsed.success) return { problems: schemaProblems(routePolicySchema, raw, parsed.error) };
  const shape = parsed.data;
  const problems = RULES.flatMap((rule) => rule(shape, world, raw));
  const wrong = problems.some((problem) => problem.severity === 'error');
  return { ...(wrong ? {} : { policy: shape }), shape, problems };
}
