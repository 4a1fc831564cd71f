import type { Problem } from '../core/problem.ts';
import type { Connections, EnvoyModel, RouteUse } from './envoy-config/model.ts';
import { Node } from './envoy-config/node.ts';
import { authzSettings, authzTimeout } from './envoy-rules/authz.ts';
import { bodyInCheck, bufferLimits, unboundedBodies } from './envoy-rules/body.ts';
import type { EnvoyRule, Limits } from './envoy-rules/context.ts';
import { gracefulClose, procPresent, rejectedCredentials } from './envoy-rules/ext-proc.ts';
import { type Finding, mergeFindings } from './envoy-rules/finding.ts';
import { filtersOn, type OwnFilters, ownFilters } from './envoy-rules/own-filters.ts';
import { ambiguousPaths } from './envoy-rules/paths.ts';
import { forgeablePeers } from './envoy-rules/peers.ts';
import { authzMissing, policyMissing, upgradesPastAuthz } from './envoy-rules/reach.ts';
import { sharedResources } from './envoy-rules/shared-resources.ts';
import { signedRewrites, streamTimeouts } from './envoy-rules/traffic.ts';
import { requestTrailers } from './envoy-rules/trailers.ts';
import { canonicalJson } from './resolve.ts';
import type { RoutePolicy } from './route-policy.ts';
import { validatePolicy } from './validate.ts';
import type { World } from './world.ts';

/** Everything that concerns a route with a policy of the right shape. */
const RULES: readonly EnvoyRule[] = [
  authzMissing,
  authzTimeout,
  bodyInCheck,
  bufferLimits,
  procPresent,
  rejectedCredentials,
  gracefulClose,
  signedRewrites,
  streamTimeouts,
  requestTrailers,
  forgeablePeers,
  unboundedBodies,
];

/** What was proved of a policy, wherever it stands. */
export interface Proof {
  /** Every route with this policy goes through an ext_proc filter that can carry it out. */
  readonly extProc: boolean;
  /** The first error at a route with this policy, or of the filters it goes through. */
  readonly fault?: string;
}

export interface EnvoyValidation {
  readonly problems: readonly Problem[];
  /** Routes that were looked at, with and without a policy. */
  readonly routeCount: number;
  /** Policies without errors, once each. */
  readonly policies: readonly RoutePolicy[];
  /** By the canonical JSON of the metadata (resolve.ts). */
  readonly proofs: ReadonlyMap<string, Proof>;
}

/** Checks routes and filters of an Envoy configuration (contract §8) and what its routes' policies say. */
export function validateEnvoy(model: EnvoyModel, world: World, limits: Limits): EnvoyValidation {
  const findings: Finding[] = model.unseen.map((unseen) => ({ code: 'V-31', severity: 'warning', ...unseen }));
  const own = ownByConnections(model, limits);
  const shared = new Map<Connections, readonly Finding[]>();
  for (const [connections, filters] of own) {
    const found = [...filters.authz.flatMap(authzSettings), ...upgradesPastAuthz(connections, filters)];
    shared.set(connections, found);
    findings.push(...found);
  }
  const judged = new PolicyTable(world);
  const withPolicy: [RouteUse, RoutePolicy][] = [];
  const proofs = new Map<string, Proof>();
  for (const route of model.routes) {
    const filters = own.get(route.connections) as OwnFilters;
    const { authz, proc } = filtersOn(route, filters);
    findings.push(...policyMissing(route, authz));
    if (!route.policy.there) continue;
    const { canonical, shape, problems } = judged.look(route.policy.value);
    findings.push(...problems.map((problem) => atRoute(problem, route)));
    if (!shape) continue;
    withPolicy.push([route, shape]);
    const found = RULES.flatMap((rule) => rule({ model, world, limits, route, policy: shape, authz, proc }));
    findings.push(...found);
    const extProc =
      proc.some((use) => use.runs === 'yes') &&
      !found.some((one) => one.severity === 'error' && (one.code === 'V-22' || one.code === 'V-25'));
    const before = proofs.get(canonical);
    const fault = before?.fault ?? firstError([...problems, ...found, ...(shared.get(route.connections) ?? [])]);
    proofs.set(canonical, {
      extProc: extProc && before?.extProc !== false,
      ...(fault === undefined ? {} : { fault }),
    });
  }
  findings.push(...sharedResources(withPolicy, world), ...ambiguousPaths(withPolicy));
  return {
    problems: mergeFindings(findings, model.document),
    routeCount: new Set(model.routes.map((route) => route.node)).size,
    policies: judged.policies,
    proofs,
  };
}

function firstError(findings: readonly Pick<Finding, 'code' | 'severity' | 'message'>[]): string | undefined {
  const error = findings.find((finding) => finding.severity === 'error');
  return error && `${error.code}: ${error.message}`;
}

function ownByConnections(model: EnvoyModel, limits: Limits): Map<Connections, OwnFilters> {
  const withPolicies = new Set(model.routes.filter((route) => route.policy.there).map((route) => route.connections));
  return new Map(
    model.connections.map((connections) => [
      connections,
      ownFilters(connections, withPolicies.has(connections), model, limits),
    ]),
  );
}

/** The problem of a policy at its place in Envoy's configuration. */
function atRoute(problem: Problem, route: RouteUse): Finding {
  const node = problem.path.reduce((at: Node, key) => new Node(undefined, at, key), route.policy);
  const { code, severity, message, mend } = problem;
  return { code, severity, node, message, mend };
}

/** Validates each distinct policy once: routes share theirs. */
class PolicyTable {
  readonly #world: World;
  readonly #known = new Map<
    string,
    { canonical: string; shape?: RoutePolicy; policy?: RoutePolicy; problems: readonly Problem[] }
  >();

  constructor(world: World) {
    this.#world = world;
  }

  look(raw: unknown): { canonical: string; shape?: RoutePolicy; problems: readonly Problem[] } {
    const canonical = canonicalJson(raw);
    let entry = this.#known.get(canonical);
    if (!entry) {
      entry = { canonical, ...validatePolicy(raw, this.#world) };
      this.#known.set(canonical, entry);
    }
    return entry;
  }

  get policies(): RoutePolicy[] {
    return [...this.#known.values()].flatMap(({ policy }) => policy ?? []);
  }
}
