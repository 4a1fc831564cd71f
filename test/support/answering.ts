import type { Child } from './child.ts';
import { send } from './http.ts';

/**
 * Asks again until an answer will do, for at most 15 s.
 * @throws when time is up or the process has ended; with the end of its stderr
 */
export async function answering(
  url: string,
  child: Child,
  willDo: (status: number) => boolean = (status) => status === 200,
): Promise<void> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const status = await send(url, { limitMs: 2_000 }).then(
      (answer) => answer.status,
      () => undefined, // not listening yet
    );
    if (status !== undefined && willDo(status)) return;
    if (Date.now() > deadline || child.process.exitCode !== null)
      throw new Error(`${url} did not answer\n${child.stderr.slice(-4000)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
