import type { Child } from '../test/support/child.ts';
import { DISASTERS, type Disaster } from './disasters.ts';
import type { Outages } from './outages.ts';
import type { People } from './people.ts';
import type { Random } from './random.ts';
import type { Site } from './site.ts';

export interface Happened {
  readonly name: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface Scene {
  readonly site: Site;
  readonly people: People;
  readonly outages: Outages;
  readonly random: Random;
  readonly say: (line: string) => void;
  /** The Envoy that runs, and how many hot restarts there have been. */
  envoy: { child: Child; epoch: number };
  /** Replicas and Envoys that are no more. */
  readonly former: Child[];
  /** Times at which a replica was killed, in milliseconds since the epoch. */
  readonly kills: number[];
  /** What rotated last: session keys and signing keys that may go. */
  retired: { atMs: number; sessionKeys: Set<string>; signingKeys: Set<string> } | undefined;
}

/** Pause between two disasters, in milliseconds. */
const QUIET_MS = { least: 1_500, most: 4_000 };

/** One disaster after the other of those that are wanted, each of them once in every round, in an order that the seed determines. */
export async function chaos(scene: Scene, only: RegExp, untilMs: number, over: AbortSignal): Promise<Happened[]> {
  const happened: Happened[] = [];
  const names = (Object.keys(DISASTERS) as Disaster[]).filter((name) => only.test(name));
  if (names.length === 0) throw new Error('no disaster has such a name');
  while (!over.aborted)
    for (const name of scene.random.shuffled(names)) {
      const [least, most] = DISASTERS[name].seconds;
      if (over.aborted || Date.now() + most * 1_000 > untilMs) return happened;
      const fromMs = Date.now();
      scene.say(`--- ${name}`);
      await DISASTERS[name].run(scene, scene.random.between(least, most) * 1_000);
      happened.push({ name, fromMs, untilMs: Date.now() });
      scene.say(`--- ${name}: over after ${((Date.now() - fromMs) / 1_000).toFixed(1)} s`);
      await new Promise((resolve) => setTimeout(resolve, scene.random.between(QUIET_MS.least, QUIET_MS.most)));
    }
  return happened;
}
