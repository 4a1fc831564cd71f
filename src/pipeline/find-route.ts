import type { Problem } from '../core/problem.ts';
import { pathText } from '../core/problem.ts';
import type { Reason } from '../core/refusal.ts';
import type { Proof } from '../policy/validate-envoy.ts';
import { type MetadataReading, PolicyMemo } from '../policy/resolve.ts';
import { type RoutePolicy, needsExtProc } from '../policy/route-policy.ts';
import { validatePolicy } from '../policy/validate.ts';
import type { World } from '../policy/world.ts';
import { compileRoute, type Route, type RouteParts } from './route.ts';

/** What the route's metadata came to: a prepared route, or why there is none. */
export type RouteFinding =
  | { readonly kind: 'route'; readonly route: Route }
  | { readonly kind: 'unusable'; readonly reason: Reason; readonly detail: string };

export interface FindRouteParts extends RouteParts, MetadataReading {
  readonly world: World;
  readonly envoy: EnvoyKnowledge;
  /** Told of each policy that is in use, once. */
  readonly onPolicy: (policy: RoutePolicy) => void;
}

/** What validation of Envoy's configuration knows of a policy, by its canonical JSON; undefined when it has not seen it. */
export interface EnvoyKnowledge {
  proofOf(canonical: string): Proof | undefined;
}

export interface FindRoute {
  (metadata: Buffer): RouteFinding;
  /** Forgets what was prepared: what is known of Envoy has changed. */
  reset(): void;
}

/** Finds the prepared route of a request's metadata; a policy that is wrong is refused, logged and counted, never waved through. */
export function createFindRoute(parts: FindRouteParts): FindRoute {
  const { log, metrics } = parts.tools;
  const invalid = metrics.counter('mcp_identity_invalid_policies_total', 'Distinct route policies that were refused');

  const unusable = (
    reason: 'policy_invalid' | 'policy_unproven',
    detail: string,
    fields: Record<string, unknown>,
  ): RouteFinding => {
    invalid.inc();
    log.error('a route policy is refused', { reason, detail, ...fields });
    return { kind: 'unusable', reason, detail };
  };

  const prepare = (raw: unknown, canonical: string): RouteFinding => {
    const { policy, problems } = validatePolicy(raw, parts.world);
    const errors = problems.filter((problem) => problem.severity === 'error');
    if (!policy || errors.length > 0) {
      return unusable('policy_invalid', errors.map(sentence).join('; '), { backend: backendOf(raw) });
    }
    const proof = parts.envoy.proofOf(canonical);
    if (proof?.fault !== undefined) return unusable('policy_invalid', proof.fault, { backend: policy.backend });
    const extProc = proof?.extProc === true;
    if (needsExtProc(policy) && !extProc) {
      return unusable(
        'policy_unproven',
        'the policy needs ext_proc, and no validated Envoy configuration has it there; set envoy.bootstrap or envoy.admin',
        { backend: policy.backend },
      );
    }
    try {
      const route = compileRoute(policy, parts, extProc);
      parts.onPolicy(policy);
      return { kind: 'route', route };
    } catch (error) {
      return unusable('policy_invalid', error instanceof Error ? error.message : 'unknown', {
        backend: policy.backend,
      });
    }
  };

  let memo = new PolicyMemo(parts, prepare);
  metrics.gauge('mcp_identity_policies', 'Distinct route policies seen', () => memo.size);
  const find = (metadata: Buffer): RouteFinding => memo.get(metadata);
  return Object.assign(find, {
    reset() {
      memo = new PolicyMemo(parts, prepare);
    },
  });
}

function sentence(problem: Problem): string {
  return `${problem.code} ${pathText(problem.path)}: ${problem.message}`;
}

function backendOf(raw: unknown): string | null {
  const backend = typeof raw === 'object' && raw !== null ? (raw as Record<string, unknown>)['backend'] : undefined;
  return typeof backend === 'string' ? backend.slice(0, 64) : null;
}
