import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Child } from '../test/support/child.ts';
import { send } from '../test/support/http.ts';
import { DRAIN_SECONDS, envoyBinary } from '../test/support/stack.ts';
import type { Scene } from './chaos.ts';
import { type Kind, ofUpstream } from './kinds.ts';
import type { Outage } from './outages.ts';
import { rotateKeys } from './rotate.ts';
import type { Site } from './site.ts';

interface Plan {
  /** How long, at least and at most; what takes its own time says what it may take. */
  readonly seconds: readonly [least: number, most: number];
  readonly run: (scene: Scene, ms: number) => Promise<void>;
}

/** A refresh whose answer was lost, or whose lease could not be given back, keeps its turn until that ends (30 s); then comes its own back-off. */
const LEASE_MS = 35_000;
/** After failures a grant waits 1, 2, 4, … seconds before the next attempt; after failures of a few seconds, at most 8. */
const BACK_OFF_MS = 10_000;
/** After failures the issuer of keys is left alone for 1, 2, 4, … seconds; after failures of a few seconds, at most 8. */
const KEYS_MS = 10_000;
/** Until Envoy has seen that connections to a replica are gone, or back. */
const HEALTH_MS = 3_000;
/** Longer than that and the longest stream. */
const ENVOY_SHUTDOWN_SECONDS = 10;
/** As docs/operations/upgrades.md says. */
const STOP_LIMIT_MS = 60_000;
/** The one that is stopped and killed; the other lives on, so that its memory can be watched. */
const VICTIM = 1;

const upstreamOnly = (name: string, graceMs: number): Omit<Outage, 'fromMs' | 'untilMs'> => ({
  name,
  affects: ofUpstream,
  allows: ['retry later'],
  graceMs,
});

/** While it lasts, the provider fails in that way. */
const providerFails =
  (name: string, trouble: Scene['site']['provider']['trouble'], graceMs: number): Plan['run'] =>
  async ({ site, outages }, ms) => {
    const end = outages.begin(upstreamOnly(name, graceMs));
    site.provider.trouble = trouble;
    await delay(ms);
    site.provider.trouble = undefined;
    end();
  };

/** Answers come late, now and then. */
async function slow(hold: () => () => void, ms: number, eachMs: number): Promise<void> {
  const untilMs = Date.now() + ms;
  while (Date.now() < untilMs) {
    const release = hold();
    await delay(eachMs);
    release();
    await delay(100);
  }
}

async function endVictim(site: Site, former: Child[], signal: NodeJS.Signals): Promise<number | null> {
  const victim = site.stack.services[VICTIM] as Child;
  former.push(victim);
  return victim.stop(signal, STOP_LIMIT_MS);
}

/** Tokens that name a key which is not known. */
const keysNeeded = (kind: Kind) => kind === 'unknown key id' || kind === 'bad credential';

export const DISASTERS = {
  'identity provider slow': {
    seconds: [3, 5],
    run: async ({ site, outages }, ms) => {
      const end = outages.begin({
        name: 'identity provider slow',
        affects: keysNeeded,
        allows: ['retry later'],
        graceMs: KEYS_MS,
      });
      await slow(() => site.issuer.hold(), ms, 1_500);
      end();
    },
  },
  'identity provider down': {
    seconds: [4, 6],
    run: async ({ site, outages, random }, ms) => {
      const end = outages.begin({
        name: 'identity provider down',
        affects: keysNeeded,
        allows: ['retry later'],
        graceMs: KEYS_MS,
      });
      site.issuer.trouble = random.one([{ status: 500 } as const, 'hang-up' as const, 'garbage' as const]);
      await delay(ms);
      site.issuer.trouble = undefined;
      end();
    },
  },
  'upstream provider slow': {
    seconds: [4, 6],
    run: async ({ site, outages, random }, ms) => {
      const end = outages.begin(upstreamOnly('upstream provider slow', BACK_OFF_MS));
      const when = random.one(['before', 'after'] as const);
      await slow(() => site.provider.hold(when), ms, 1_500);
      end();
    },
  },
  'upstream provider answers 500': {
    seconds: [4, 6],
    run: providerFails('upstream provider answers 500', { status: 500 }, BACK_OFF_MS),
  },
  'upstream provider answers 429': {
    seconds: [4, 6],
    run: providerFails('upstream provider answers 429', { status: 429, headers: { 'retry-after': '2' } }, BACK_OFF_MS),
  },
  'upstream provider hangs up': {
    seconds: [4, 6],
    run: providerFails('upstream provider hangs up', 'hang-up', LEASE_MS),
  },
  'token exchange down': {
    seconds: [3, 5],
    run: async ({ site, outages }, ms) => {
      const affects = (kind: Kind) => kind === 'exchange';
      const end = outages.begin({
        name: 'token exchange down',
        affects,
        allows: ['retry later'],
        graceMs: BACK_OFF_MS,
      });
      site.exchange.trouble = 500;
      await delay(ms);
      site.exchange.trouble = undefined;
      end();
    },
  },
  'Redis restarts': {
    seconds: [1, 3],
    run: async ({ site, outages, random }, ms) => {
      const end = outages.begin(upstreamOnly('Redis restarts', LEASE_MS));
      await (random.next() < 0.5 ? site.redis.stop() : site.redis.kill());
      await delay(ms);
      await site.redis.start();
      end();
    },
  },
  'Redis hangs': {
    seconds: [3, 6],
    run: async ({ site, outages }, ms) => {
      const end = outages.begin(upstreamOnly('Redis hangs', LEASE_MS));
      site.redis.pause();
      await delay(ms);
      site.redis.resume();
      end();
    },
  },
  'a replica is killed': {
    seconds: [1, 3],
    run: async ({ site, outages, kills, former }, ms) => {
      const name = 'a replica is killed';
      const midRefresh = kills.length % 2 === 0;
      // Refreshes that the provider has acted on, and whose answers are still on their way.
      const release = midRefresh ? site.provider.hold('after') : () => {};
      const endOfHold = outages.begin(upstreamOnly(name, LEASE_MS));
      if (midRefresh) await delay(1_000);
      const allows = ['retry later', 'unavailable', 'internal', 'broken'] as const;
      const end = outages.begin({ name, affects: () => true, allows, graceMs: HEALTH_MS });
      kills.push(Date.now());
      await endVictim(site, former, 'SIGKILL');
      release();
      await delay(HEALTH_MS);
      end();
      await delay(ms);
      await site.stack.restartService(VICTIM);
      endOfHold();
    },
  },
  'a replica is drained': {
    seconds: [1, 30],
    run: async ({ site, former }) => {
      // Nothing may be unavailable because of this.
      const code = await endVictim(site, former, 'SIGTERM');
      if (code !== 0) throw new Error(`the drained replica ended with ${code}`);
      await site.stack.restartService(VICTIM);
    },
  },
  'keys rotate': { seconds: [5, 15], run: rotateKeys },
  'Envoy is hot restarted': {
    seconds: [ENVOY_SHUTDOWN_SECONDS, ENVOY_SHUTDOWN_SECONDS + 5],
    run: async (scene) => {
      const { site } = scene;
      const epoch = scene.envoy.epoch + 1;
      const options = {
        'base-id': site.baseId,
        'restart-epoch': epoch,
        'drain-time-s': DRAIN_SECONDS,
        'parent-shutdown-time-s': ENVOY_SHUTDOWN_SECONDS,
        concurrency: 1,
        'log-level': 'warning',
      };
      const next = new Child(`envoy ${epoch}`, envoyBinary(), [
        '-c',
        join(site.stack.folder, 'envoy.json'),
        ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
      ]);
      const before = scene.envoy.child;
      scene.former.push(before);
      scene.envoy = { child: next, epoch };
      const running = async () =>
        (await send(`${site.stack.envoyAdmin}/server_info`)).json().command_line_options.restart_epoch as number;
      while ((await running().catch(() => -1)) !== epoch) {
        if (next.process.exitCode !== null)
          throw new Error(`envoy ${epoch} did not start\n${next.stderr.slice(-2_000)}`);
        await delay(100);
      }
      await before.exited;
    },
  },
} as const satisfies Record<string, Plan>;
export type Disaster = keyof typeof DISASTERS;
