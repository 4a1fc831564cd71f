import type { Problem } from '../core/problem.ts';
import { schemaProblems } from '../core/schema-problems.ts';
import { type RoutePolicy, routePolicySchema } from './route-policy.ts';
import type { Rule } from './rule.ts';
import {
  claimsBesideAttributes,
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
  claimsBesideAttributes,
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
  const hidden = inheritedKey(raw);
  if (hidden) return { problems: [hidden] };
  const parsed = routePolicySchema.safeParse(raw);
  if (!parsed.success) return { problems: schemaProblems(routePolicySchema, raw, parsed.error) };
  const shape = parsed.data;
  const problems = RULES.flatMap((rule) => rule(shape, world, raw));
  const wrong = problems.some((problem) => problem.severity === 'error');
  return { ...(wrong ? {} : { policy: shape }), shape, problems };
}

/** `__proto__` as a key: schemas drop it without a word, and with it what the rule under it asked for. */
function inheritedKey(value: unknown, path: readonly (string | number)[] = []): Problem | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, inner] of Object.entries(value)) {
    const here = [...path, key];
    if (key === '__proto__') {
      return {
        code: 'SCHEMA',
        severity: 'error',
        file: '',
        path: here,
        message: 'is not a name that can be used',
        mend: 'leave it out',
      };
    }
    const found = inheritedKey(inner, here);
    if (found) return found;
  }
  return undefined;
}
