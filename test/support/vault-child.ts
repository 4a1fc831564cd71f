/**
 * A process of its own that uses a vault, for tests with several processes and with `kill -9`.
 * Configuration comes as JSON in $VAULT_CHILD; each line on stdout is one acknowledged result.
 */
import { once } from 'node:events';
import { Secret } from '../../src/core/secret.ts';
import { openVault } from '../../src/upstream/vault/open.ts';
import type { Vault } from '../../src/upstream/vault/vault.ts';
import { ALICE, grantContent, testTools, vaultConfig } from './vault-tools.ts';

export interface ChildInput {
  readonly store: string;
  readonly keys: readonly { readonly id: string; readonly base64: string }[];
  /** `write`: refreshes a new user's grant each round, forever. `count`: adds 1 to a shared grant. `once`: uses up shared keys. */
  readonly task: 'write' | 'count' | 'once' | 'ping';
  readonly rounds: number;
}

const { store, keys, task, rounds } = JSON.parse(process.env['VAULT_CHILD'] ?? '') as ChildInput;
const testKeys = keys.map(({ id, base64 }) => ({ id, bytes: Buffer.from(base64, 'base64') }));
const vault = await openVault(vaultConfig(store, testKeys), testTools());
say('ready');
await once(process.stdin, 'data'); // the parent lets all children go at the same time

if (task === 'write') await write(vault);
else if (task === 'count') say(String(await count(vault)));
else if (task === 'once') say(String(await useUp(vault)));
else
  say(
    await vault.ping().then(
      () => 'answers',
      (error: Error) => error.message,
    ),
  );
await vault.close();
process.exitCode = 0;
process.stdin.destroy();

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function write(into: Vault): Promise<void> {
  for (let round = 0; ; round++) {
    const key = { ...ALICE, subject: `user-${round}` };
    const { generation } = await into.create(key, grantContent({ refreshToken: new Secret(`first-${round}`) }));
    await into.compareAndSet(key, generation, grantContent({ refreshToken: new Secret(`rotated-${round}`) }));
    say(String(round));
  }
}

/** Adds `rounds` to the number in the grant's token; returns how often somebody else was faster. */
async function count(into: Vault): Promise<number> {
  let conflicts = 0;
  for (let done = 0; done < rounds; ) {
    const grant = await into.read(ALICE);
    if (!grant) throw new Error('the shared grant is missing');
    const accessToken = new Secret(String(Number(grant.accessToken.reveal()) + 1));
    const outcome = await into.compareAndSet(ALICE, grant.generation, { ...grant, accessToken });
    if (outcome === 'stored') done++;
    else conflicts++;
  }
  return conflicts;
}

async function useUp(into: Vault): Promise<number> {
  let won = 0;
  for (let i = 0; i < rounds; i++) if (await into.once(`shared-${i}`, 60_000)) won++;
  return won;
}
