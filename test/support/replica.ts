import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ReplicaAnswer, ReplicaCall, ReplicaInput } from './refresher-child.ts';
import type { TestKey } from './vault-tools.ts';

/** A process that keeps tokens fresh, as one replica of the service does. */
export interface Replica {
  /** @param limitMs deadline of the call */
  token(user: { readonly issuer: string; readonly subject: string }, limitMs?: number): Promise<ReplicaAnswer>;
  /** SIGKILL, without any chance to tidy up. */
  kill(): Promise<void>;
}

export interface ReplicaOptions extends Omit<ReplicaInput, 'key' | 'skewMs' | 'egressTimeoutMs' | 'limits'> {
  readonly key: TestKey;
  readonly skewMs?: number;
  readonly egressTimeoutMs?: number;
  readonly limits?: ReplicaInput['limits'];
}

export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const { key, skewMs = 0, egressTimeoutMs = 5_000, limits = {}, ...rest } = options;
  const input: ReplicaInput = {
    ...rest,
    skewMs,
    egressTimeoutMs,
    limits,
    key: { id: key.id, base64: key.bytes.toString('base64') },
  };
  const child = fork(fileURLToPath(new URL('./refresher-child.ts', import.meta.url)), {
    env: { ...process.env, REFRESHER_CHILD: JSON.stringify(input) },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const waiting = new Map<number, (answer: ReplicaAnswer) => void>();
  let calls = 0;
  const gone = once(child, 'exit').then(() => {
    for (const [id, settle] of waiting) settle({ id, kind: 'error', why: 'killed' });
    waiting.clear();
  });
  child.on('message', (answer: ReplicaAnswer) => {
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  const ready = await new Promise<ReplicaAnswer>((resolve) => waiting.set(0, resolve));
  if ('why' in ready && ready.why !== 'ready') throw new Error('the replica did not start');
  return {
    token: (user, limitMs = 20_000) =>
      new Promise((resolve) => {
        const id = ++calls;
        if (!child.connected) return resolve({ id, kind: 'error', why: 'killed' });
        waiting.set(id, resolve);
        child.send({ id, ...user, limitMs } satisfies ReplicaCall, (error) => {
          if (error) resolve({ id, kind: 'error', why: 'killed' });
        });
      }),
    kill: async () => {
      child.kill('SIGKILL');
      await gone;
    },
  };
}
