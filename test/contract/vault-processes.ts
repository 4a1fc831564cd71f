import assert from 'node:assert/strict';
import { Secret } from '../../src/core/secret.ts';
import { openVault } from '../../src/upstream/vault/open.ts';
import { startVaultProcess } from '../support/vault-process.ts';
import { ALICE, grantContent, testTools, vaultConfig } from '../support/vault-tools.ts';
import type { TestKey } from '../support/vault-tools.ts';

/** Kills a process that writes; everything it was told is stored must be there afterwards. */
export async function writeUntilKilled(store: string, keys: readonly TestKey[]): Promise<void> {
  const writer = await startVaultProcess({ store, task: 'write', rounds: 0 }, keys);
  writer.go();
  let last = -1;
  while (last < 40) last = Number(await writer.line());
  await writer.kill();
  for (let line = await writer.line(); line !== undefined; line = await writer.line()) last = Number(line);

  const vault = await openVault(vaultConfig(store, keys), testTools());
  for (let round = 0; round <= last; round++) {
    const grant = await vault.read({ ...ALICE, subject: `user-${round}` });
    assert.equal(grant?.refreshToken?.reveal(), `rotated-${round}`);
  }
  await vault.create(ALICE, grantContent());
  await vault.close();
}

/** Two processes add to one number by compare-and-set: every addition must count. */
export async function countTogether(store: string, keys: readonly TestKey[]): Promise<void> {
  const rounds = 100;
  const vault = await openVault(vaultConfig(store, keys), testTools());
  await vault.create(ALICE, grantContent({ accessToken: new Secret('0') }));
  const children = await Promise.all([1, 2].map(() => startVaultProcess({ store, task: 'count', rounds }, keys)));
  for (const child of children) child.go();
  const conflicts = await Promise.all(children.map(async (child) => Number(await child.line())));
  assert.equal((await vault.read(ALICE))?.accessToken.reveal(), String(2 * rounds));
  assert.ok(
    conflicts.every((count) => count >= 0),
    'both came to their end',
  );
  await vault.close();
}

/** Two processes use the same keys up: each key is new to one of them. */
export async function useUpTogether(store: string, keys: readonly TestKey[]): Promise<void> {
  const rounds = 100;
  const children = await Promise.all([1, 2].map(() => startVaultProcess({ store, task: 'once', rounds }, keys)));
  for (const child of children) child.go();
  const won = await Promise.all(children.map(async (child) => Number(await child.line())));
  assert.equal((won[0] ?? 0) + (won[1] ?? 0), rounds);
}
