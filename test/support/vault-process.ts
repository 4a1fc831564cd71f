import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ChildInput } from './vault-child.ts';
import type { TestKey } from './vault-tools.ts';

const LIMIT_MS = 30_000;

/** A process that uses a vault; it has opened it and waits for `go`. */
export interface VaultProcess {
  go(): void;
  /** The next line it says; undefined when it has ended. */
  line(): Promise<string | undefined>;
  /** SIGKILL, without any chance to tidy up. */
  kill(): Promise<void>;
}

export async function startVaultProcess(
  input: Omit<ChildInput, 'keys'>,
  keys: readonly TestKey[],
  environment: Readonly<Record<string, string>> = {},
): Promise<VaultProcess> {
  const childInput: ChildInput = {
    ...input,
    keys: keys.map(({ id, bytes }) => ({ id, base64: bytes.toString('base64') })),
  };
  const child = spawn(process.execPath, [fileURLToPath(new URL('./vault-child.ts', import.meta.url))], {
    env: { ...process.env, ...environment, VAULT_CHILD: JSON.stringify(childInput) },
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const next = await lines.next();
    return next.done ? undefined : next.value;
  };
  if ((await line()) !== 'ready') throw new Error('the vault process did not open its vault');
  return {
    go: () => void child.stdin.write('go\n'),
    line,
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
