import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { LiveEnvoy } from '../../../src/policy/live-envoy.ts';
import { canonicalJson } from '../../../src/policy/resolve.ts';
import type { World } from '../../../src/policy/world.ts';
import { envoyConfig } from '../../support/envoy-config.ts';

const world: World = {
  methods: new Map([['guest', { type: 'anonymous', headers: [] }]]),
  providers: new Set(),
  exchanges: new Map(),
  secrets: new Set(),
  hasVaultKeys: true,
  loginIssuer: undefined,
  signing: { jws: true, hmac: true },
  hasSessionKeys: true,
};
const policy = {
  backend: 'b',
  incomingAuth: ['guest'],
  outgoingAuth: { type: 'unauthenticated' },
  identityPropagation: { mode: 'meta' },
};
const configOf = (extProc: boolean) =>
  JSON.stringify(
    envoyConfig({ listen: 1, admin: 2, backend: 3, grpc: [9191], http: 9192 }, [{ prefix: '/a', policy }], { extProc }),
  );
const silent = () => {};

describe('LiveEnvoy', () => {
  const asked: ((text: string) => void)[] = [];
  let told = () => {};
  let live: LiveEnvoy;
  before(() => {
    live = new LiveEnvoy({
      start: { policies: [], proofs: new Map() },
      fetchDump: () =>
        new Promise((resolve) => {
          asked.push(resolve);
          told();
        }),
      world,
      limits: { maxBody: 4 * 1024 ** 2, grpcAddress: '127.0.0.1:9191' },
      onChange: () => told(),
      tools: {
        log: { debug: silent, info: silent, warn: silent, error: silent },
        metrics: { counter: () => ({ inc: silent }), histogram: () => ({ observe: silent }), gauge: silent },
        clock: { nowMs: () => Date.now() },
      },
    });
  });
  after(() => live.close());

  it('an answer that comes late takes no newer one’s place', async () => {
    const extProc = () => live.proofOf(canonicalJson(policy))?.extProc;
    const next = (limitMs: number) =>
      new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, limitMs);
        told = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    void live.watch();
    extProc(); // a policy that nobody has seen: a look soon, while the first is still under way
    await next(1_000);
    if (asked.length === 1) return; // one look at a time is as good
    const newer = next(1_000);
    asked[1]?.(configOf(false));
    await newer;
    assert.equal(extProc(), false);
    asked[0]?.(configOf(true));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(extProc(), false);
  });
});
