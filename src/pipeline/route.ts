import { type Chain, createChain } from '../authn/chain.ts';
import type { IncomingMethod } from '../authn/method.ts';
import { SIGNATURE_ALGORITHMS } from '../authn/schema.ts';
import type { HeaderPair } from '../core/header-edits.ts';
import type { User } from '../core/identity.ts';
import type { Tools } from '../core/ports.ts';
import { type Reason, type Refusal, WIRE } from '../core/refusal.ts';
import { challengeText, dpopChallengeText } from '../mcp/challenge.ts';
import { decidesOnBody, editedMetaKey, type RoutePolicy } from '../policy/route-policy.ts';
import { type AssertionParts, type Assertions, prepareAssertions } from '../propagation/assertion.ts';
import { prepareClientHeaders, type StripClientHeaders } from '../propagation/client-headers.ts';
import { prepareForwardedUser } from '../propagation/forwarded-user.ts';
import { prepareHeaderForward } from '../propagation/header-forward.ts';
import { createStrategy, type StrategyParts } from '../strategies/registry.ts';
import type { OutgoingStrategy } from '../strategies/strategy.ts';
import { countDecisions, type CountDecision } from './count.ts';
import { prepareTools, type ToolRule } from './tools.ts';

/** A route policy made ready: everything that can be worked out before a request comes. */
export interface Route {
  readonly policy: RoutePolicy;
  readonly authenticate: Chain;
  readonly toolRule: (name: string) => ToolRule | undefined;
  readonly decidesOnBody: boolean;
  /** The `_meta` key that is ours; undefined where bodies are left alone. */
  readonly metaKey: string | undefined;
  /** Validation has proved that ext_proc is there, so a plan is handed over. */
  readonly extProc: boolean;
  readonly strategy: OutgoingStrategy;
  readonly stripClientHeaders: StripClientHeaders;
  readonly headerForward: readonly HeaderPair[];
  readonly assertions: Assertions | undefined;
  readonly forwardUser: ((user: User) => HeaderPair[]) | undefined;
  readonly challenges: (refusal: Refusal) => readonly string[];
  readonly count: CountDecision;
}

export interface RouteParts {
  readonly methods: ReadonlyMap<string, IncomingMethod>;
  readonly strategies: StrategyParts;
  readonly assertions: AssertionParts;
  readonly tools: Tools;
}

/**
 * @param policy validated against the config: every name it holds is known
 * @throws when a name is unknown all the same, or a secret cannot stand in a header; the route is then refused
 */
export function compileRoute(policy: RoutePolicy, parts: RouteParts, extProc: boolean): Route {
  const methods = policy.incomingAuth.map((name) => {
    const method = parts.methods.get(name);
    if (!method) throw new Error(`incomingAuth names ${name}, which is not available`);
    return method;
  });
  const propagation = policy.identityPropagation;
  const [issuer, ...otherIssuers] = new Set(methods.flatMap((method) => method.issuer ?? []));
  const soleIssuer = otherIssuers.length === 0 ? issuer : undefined;
  return {
    policy,
    authenticate: createChain(methods, policy.resource, parts.tools.log, parts.tools.observe),
    toolRule: prepareTools(policy.tools),
    decidesOnBody: decidesOnBody(policy),
    metaKey: editedMetaKey(policy),
    extProc,
    strategy: createStrategy(policy.outgoingAuth, parts.strategies, soleIssuer),
    stripClientHeaders: prepareClientHeaders(policy.passthroughHeaders),
    headerForward: prepareHeaderForward(policy.headerForward, parts.strategies.secrets),
    forwardUser: propagation && propagation.mode !== 'meta' ? prepareForwardedUser(propagation) : undefined,
    assertions: propagation && prepareAssertions(propagation, policy, parts.assertions),
    challenges: prepareChallenges(policy, methods),
    count: countDecisions(parts.tools.metrics, policy.backend, policy.outgoingAuth.type),
  };
}

/** One text per reason, built once; only `scope_missing` depends on the call. */
function prepareChallenges(policy: RoutePolicy, methods: readonly IncomingMethod[]): Route['challenges'] {
  const basic = methods.some((method) => method.scheme === 'basic') ? ['Basic realm="mcp", charset="UTF-8"'] : [];
  const dpop = methods.some((method) => method.dpop !== undefined);
  const bearer = !dpop || methods.some((method) => method.scheme === 'bearer' && method.dpop !== 'required');
  const built = new Map<Reason, readonly string[]>();
  const build = (refusal: Refusal): readonly string[] => {
    const wire = WIRE[refusal.reason];
    if (wire.challenge === 'none') return [];
    const scopes = refusal.scopes ?? policy.scopes;
    const proof = dpop ? [dpopChallengeText(wire, policy.resource, scopes, SIGNATURE_ALGORITHMS)] : [];
    // RFC 9449 7.1: whoever has sent a proof is told about the proof.
    if (wire.challenge === 'invalid_dpop_proof' || wire.challenge === 'use_dpop_nonce') return proof;
    const texts = bearer ? [challengeText(wire, policy.resource, scopes), ...proof] : proof;
    return wire.status === 401 ? [...texts, ...basic] : texts;
  };
  return (refusal) => {
    if (refusal.scopes) return build(refusal);
    let texts = built.get(refusal.reason);
    if (!texts) {
      texts = build(refusal);
      built.set(refusal.reason, texts);
    }
    return texts;
  };
}
