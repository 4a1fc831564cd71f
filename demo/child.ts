import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';

const killAfterMs = 5000;

export interface Child {
  readonly name: string;
  /** Resolves when the process is gone, with the way it ended in words. */
  readonly ended: Promise<string>;
  /** SIGTERM, and SIGKILL for a process that is still there after 5 s. */
  stop(): Promise<void>;
  lastLines(count: number): Promise<string>;
}

/** Starts a process whose output goes to `logFile`, replacing what an earlier run left there. */
export async function startChild(
  name: string,
  command: string,
  args: readonly string[],
  logFile: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Child> {
  const log = await open(logFile, 'w');
  // detached: Ctrl-C in a terminal reaches every process of the group; these are stopped by us, in order.
  const child = spawn(command, args, {
    stdio: ['ignore', log.fd, log.fd],
    detached: true,
    env,
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) =>
      resolve(signal === null ? `exited with code ${code}` : `was ended by ${signal}`),
    );
  });
  await Promise.race([once(child, 'spawn'), ended]);
  await log.close();

  return {
    name,
    ended,
    async stop() {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
      await ended;
      clearTimeout(hard);
    },
    async lastLines(count) {
      return (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-count).join('\n');
    },
  };
}

/** Resolves when `url` answers 200; rejects after 30 s, when the child ends first, or when `signal` aborts. */
export async function untilReady(url: string, child: Child, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + 30_000;
  let ended: string | undefined;
  void child.ended.then((how) => (ended = how));
  for (;;) {
    signal.throwIfAborted();
    if (ended !== undefined) throw new Error(ended);
    if (Date.now() > deadline) throw new Error(`was not ready after 30 s (${url})`);
    const answer = await fetch(url, {
      signal: AbortSignal.timeout(1000),
    }).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
