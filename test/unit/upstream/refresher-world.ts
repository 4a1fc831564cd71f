import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createSealer } from '../../../src/core/seal.ts';
import { Secret } from '../../../src/core/secret.ts';
import type { Provider, RefreshOutcome } from '../../../src/upstream/provider.ts';
import type { RefreshLimits } from '../../../src/upstream/refresh-grant.ts';
import { createRefresher, type Refresher } from '../../../src/upstream/refresher.ts';
import type { UpstreamAnswer } from '../../../src/upstream/upstream-answer.ts';
import { createMemoryStore } from '../../../src/upstream/vault/memory.ts';
import { createRun } from '../../../src/upstream/vault/operations.ts';
import { createVault } from '../../../src/upstream/vault/sealed-vault.ts';
import type { Store } from '../../../src/upstream/vault/store.ts';
import { VaultError } from '../../../src/upstream/vault/vault-error.ts';
import type { GrantContent, GrantKey, Vault } from '../../../src/upstream/vault/vault.ts';
import { bounded, type TestTools, testTools } from '../authn/support.ts';
import { testAudit } from './support.ts';

export const ALICE = { issuer: 'https://idp.example.com', subject: 'alice' };
export const BOB = { issuer: 'https://idp.example.com', subject: 'bob' };
export const keyOf = (user: typeof ALICE, provider = 'github'): GrantKey => ({ ...user, provider });
export const KEY = keyOf(ALICE);
export const HOUR = 3_600_000;

/** A provider whose answers the test decides about, without any network. */
export interface ScriptedProvider extends Provider {
  calls: GrantContent[];
  revoked: GrantContent[];
  next: (grant: GrantContent, call: number) => Promise<RefreshOutcome> | RefreshOutcome;
}

export class World {
  readonly tools: TestTools = testTools();
  readonly audit = testAudit();
  readonly store: Store = createMemoryStore(this.tools.clock);
  readonly sealer = createSealer([{ id: 'k1', key: randomBytes(32) }], 'vault');
  readonly vault: Vault = createVault(this.store, this.sealer, createRun(this.tools.metrics, 1_000));
  readonly github = this.provider('github');
  readonly jira = this.provider('jira');
  readonly refreshers: Refresher[] = [];

  provider(name: string, scopes: string[] = []): ScriptedProvider {
    const provider: ScriptedProvider = {
      name,
      scopes,
      refreshBeforeMs: 60_000,
      supportsRevocation: true,
      calls: [],
      revoked: [],
      next: (grant, call) => ({
        kind: 'refreshed',
        content: this.content(`${name}-${call}`, {
          connectedAtMs: grant.connectedAtMs,
          refreshedAtMs: this.tools.time.nowMs,
        }),
      }),
      prepare: () => undefined,
      authorizationUrl: () => assert.fail(),
      exchangeCode: () => assert.fail(),
      refresh: async (grant) => {
        provider.calls.push(grant);
        return provider.next(grant, provider.calls.length);
      },
      revoke: async (grant) => {
        provider.revoked.push(grant);
        return { kind: 'revoked' };
      },
    };
    return provider;
  }

  refresher(options: { vault?: Vault; limits?: Partial<RefreshLimits>; github?: Provider } = {}): Refresher {
    const { vault = this.vault, limits = {}, github = this.github } = options;
    const providers = new Map<string, Provider>([
      ['github', github],
      ['jira', this.jira],
    ]);
    const refresher = createRefresher({
      vault,
      providers,
      tools: this.tools,
      audit: this.audit,
      ownerId: 'test',
      limits: { graceMs: 0, ...limits },
    });
    this.refreshers.push(refresher);
    return refresher;
  }

  /** A grant that was issued now and lives for an hour. */
  content(name: string, change: Partial<GrantContent> = {}): GrantContent {
    const { nowMs } = this.tools.time;
    return {
      accessToken: new Secret(`at-${name}`),
      refreshToken: new Secret(`rt-${name}`),
      tokenType: 'Bearer',
      scopes: [],
      requestedScopes: [],
      issuedAtMs: nowMs,
      expiresAtMs: nowMs + HOUR,
      connectedAtMs: nowMs,
      ...change,
    };
  }

  expired(name: string, change: Partial<GrantContent> = {}): GrantContent {
    const { nowMs } = this.tools.time;
    return this.content(name, { issuedAtMs: nowMs - HOUR, expiresAtMs: nowMs - 1, ...change });
  }

  pass(ms: number): void {
    this.tools.time.nowMs += ms;
  }
}

export const tokenOf = (answer: UpstreamAnswer) => (answer.kind === 'token' ? answer.accessToken.reveal() : answer);

/** The vault, but some operations do something else first. */
export function tampered(vault: Vault, changes: Partial<Vault>): Vault {
  return { ...vault, ...changes };
}

export const unavailable = () => Promise.reject(new VaultError('unavailable', 'away'));

/** Waits until what the background does has come to an end. */
export async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 5_000; !holds(); ) {
    if (Date.now() > end) assert.fail('it did not come to that');
    await delay(2);
  }
}

/** A world for each test, closed after it. */
export function worlds(): () => World {
  const made: World[] = [];
  afterEach(async () => {
    for (const { refreshers } of made.splice(0)) await Promise.all(refreshers.map((refresher) => refresher.close()));
  });
  return () => {
    const one = new World();
    made.push(one);
    return one;
  };
}

export function ask(refresher: Refresher, user = ALICE, provider = 'github', signal = bounded()) {
  return refresher.token(user, provider, signal);
}
