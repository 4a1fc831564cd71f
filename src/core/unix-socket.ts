import { rmSync } from 'node:fs';
import { connect } from 'node:net';

/** Removes the socket file of a process that is gone; one that somebody listens on stays, and binding to it fails. */
export async function removeStaleSocket(path: string): Promise<void> {
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (!alive) rmSync(path, { force: true });
}
