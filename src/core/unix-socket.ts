import { lstatSync, rmSync } from 'node:fs';
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
  // A path may be mistyped: nothing but a socket is ever removed.
  if (!alive && lstatSync(path, { throwIfNoEntry: false })?.isSocket()) rmSync(path, { force: true });
}
