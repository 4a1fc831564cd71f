import type { Problem } from '../core/problem.ts';
import { pathText } from '../core/problem.ts';
import { PolicyMemo } from '../policy/resolve.ts';
import { type RoutePolicy, needsExtProc } from '../policy/route-policy.ts';
import { validatePolicy } from '../policy/validate.ts';
import type { World } from '../policy/world.ts';
import type { RouteFinding } from './decide.ts';
import { compileRoute, type RouteParts } from './route.ts';

export interface FindRouteParts extends RouteParts {
  readonly world: World;
  /** Bytes of a Struct → plain value; throws on bytes that are none. */
  readonly decode: (metadata: Buffer) => unknown;
  /** True when validation of Envoy's configuration has proved that ext_proc is there for this policy (contract §4). */
  readonly extProcProven: (canonical: string) => boolean;
  /** Told of each policy that is in use, once. */
  readonly onPolicy: (policy: RoutePolicy) => void;
}

/** Finds the prepared route of a request's metadata; a policy that is wrong is refused, logged and counted, never waved through. */
export function createFindRoute(parts: FindRouteParts): (metadata: Buffer) => RouteFinding {
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
    const extProc = parts.extProcProven(canonical);
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

  const memo = new PolicyMemo(parts.decode, prepare);
  metrics.gauge('mcp_identity_policies', 'Distinct route policies seen', () => memo.size);
  return (metadata) => memo.get(metadata);
}

function sentence(problem: Problem): string {
  return `${problem.code} ${pathText(problem.path)}: ${problem.message}`;
}

function backendOf(raw: unknown): string | null {
  const backend = typeof raw === 'object' && raw !== null ? (raw as Record<string, unknown>)['backend'] : undefined;
  return typeof backend === 'string' ? backend.slice(0, 64) : null;
}
