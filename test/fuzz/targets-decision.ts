import { compared, request } from '../property/decision-model.ts';
import { decisionWorld } from '../property/decision-world.ts';
import { target } from './target.ts';

const world = await decisionWorld();

/** All of it together: credentials, headers, bodies, metadata. */
export const DECISION_TARGETS = [
  target(
    'decision',
    'no request passes that a small model denies; no header of the client stands for one of ours; one audit line each',
    request,
    async (from) => void (await compared(world, from)),
  ),
];
