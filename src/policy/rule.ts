import type { Problem, ProblemCode } from '../core/problem.ts';
import type { Path } from '../core/schema-shape.ts';
import type { RoutePolicy } from './route-policy.ts';
import type { World } from './world.ts';

/**
 * One question about a policy of the right shape. Paths of its problems start at the policy; what it says must be
 * understood without the code.
 * @param raw the metadata as it was written, for rules about texts wherever they stand
 */
export type Rule = (policy: RoutePolicy, world: World, raw: unknown) => Problem[];

export function error(code: ProblemCode, path: Path, message: string, mend: string): Problem {
  return { code, severity: 'error', file: '', path, message, mend };
}

export function warning(code: ProblemCode, path: Path, message: string, mend: string): Problem {
  return { code, severity: 'warning', file: '', path, message, mend };
}

/** True for types of incoming methods whose credential is a token of an issuer. */
export function carriesToken(type: string | undefined): boolean {
  return type === 'jwt' || type === 'introspection';
}

/** "known: a, b" for mends; a few names are enough. */
export function listed(names: Iterable<string>): string {
  const all = [...names];
  if (all.length === 0) return 'none is defined';
  return `known: ${all.slice(0, 8).join(', ')}${all.length > 8 ? ', …' : ''}`;
}
