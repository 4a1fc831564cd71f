import { randomBytes } from 'node:crypto';
import type { Clock, Log, Tools } from '../../src/core/ports.ts';
import { Secret, SecretRef } from '../../src/core/secret.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import type { PrometheusMetrics } from '../../src/observe/metrics.ts';
import type { VaultConfig } from '../../src/upstream/schema.ts';
import type { GrantContent, GrantKey } from '../../src/upstream/vault/vault.ts';

export interface TestKey {
  readonly id: string;
  readonly bytes: Buffer;
}

export function newKey(id: string): TestKey {
  return { id, bytes: randomBytes(32) };
}

/** The `vault` section of a config file whose secrets have been read. */
export function vaultConfig(store: string, keys: readonly TestKey[]): VaultConfig {
  return {
    store,
    keys: keys.map(({ id, bytes }) => {
      const key = new SecretRef({ literal: '' });
      key.read(bytes.toString('base64'));
      return { id, key };
    }),
  };
}

export interface TestTools extends Tools {
  readonly metrics: PrometheusMetrics;
  readonly clock: Clock & { advance(ms: number): void };
  /** Everything that was logged, one line each. */
  readonly logged: string[];
}

export function testTools(): TestTools {
  const logged: string[] = [];
  const at = (level: string) => (message: string, fields?: Readonly<Record<string, unknown>>) =>
    void logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  let aheadMs = 0;
  const clock = {
    nowMs: () => Date.now() + aheadMs,
    advance: (ms: number) => {
      aheadMs += ms;
    },
  };
  return { log, logged, clock, metrics: createMetrics({ process: false }) };
}

export const ALICE: GrantKey = { issuer: 'https://idp.example', subject: 'alice@example.com', provider: 'github' };
export const BOB: GrantKey = { issuer: 'https://idp.example', subject: 'bob@example.com', provider: 'github' };

/** A grant with every field; the tokens are easy to find wherever they should not be. */
export function grantContent(change: Partial<GrantContent> = {}): GrantContent {
  return {
    accessToken: new Secret('PLAINTEXT-access-token'),
    refreshToken: new Secret('PLAINTEXT-refresh-token'),
    tokenType: 'Bearer',
    scopes: ['repo', 'read:user'],
    requestedScopes: ['repo', 'read:user', 'gist'],
    expiresAtMs: 1_900_000_000_000,
    issuedAtMs: 1_800_000_000_000,
    connectedAtMs: 1_700_000_000_000,
    refreshedAtMs: 1_800_000_000_001,
    ...change,
  };
}
