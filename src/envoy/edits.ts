import type { Decision } from '../core/decision.ts';
import type { HeaderEdits } from '../core/header-edits.ts';
import { Secret } from '../core/secret.ts';
import { PLAN_FIELD } from '../pipeline/plan.ts';
import { encodeDenied, encodeOk } from './codec/check-response.ts';
import { encodeStruct } from './codec/struct.ts';

/**
 * A decision as CheckResponse bytes.
 * @throws EncodeError when a header cannot be carried
 */
export function encodeDecision(decision: Decision): Buffer {
  if (decision.kind === 'deny') return encodeDenied(decision);
  const edits = { set: plainPairs(decision.edits), remove: [...decision.edits.removed()] };
  return encodeOk(
    decision.handoff === undefined
      ? edits
      : { ...edits, dynamicMetadata: encodeStruct({ [PLAN_FIELD]: decision.handoff }) },
  );
}

/** Here secrets become bytes for Envoy. */
export function plainPairs(edits: HeaderEdits): (readonly [name: string, value: string])[] {
  const pairs: (readonly [string, string])[] = [];
  for (const [name, value] of edits.written()) pairs.push([name, value instanceof Secret ? value.reveal() : value]);
  return pairs;
}
