/** Resolves at the first Ctrl-C, SIGTERM or hang-up; more of them are ignored, so that stopping is not cut short. */
export function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve());
  });
}
