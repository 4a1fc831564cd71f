import type { Config } from '../config/schema.ts';
import type { Problem } from '../core/problem.ts';

/** What was fixed when the process started. */
export interface Fixed {
  /** The configuration that the process started with. */
  readonly config: Config;
  /** Where the open vault keeps its records; undefined while none is open. */
  readonly store: string | undefined;
}

/**
 * Changes that only a restart can make: sockets are bound, the audit is open, grants lie in one store.
 * @param file the config file, for the problems
 */
export function restartProblems(next: Config, { config: first, store }: Fixed, file: string): Problem[] {
  const problems: Problem[] = [];
  const fixed = (path: string[], before: unknown, after: unknown, why: string): void => {
    if (JSON.stringify(before) === JSON.stringify(after)) return;
    problems.push({
      code: 'RESTART',
      severity: 'error',
      file,
      path,
      message: `needs a restart: ${why}`,
      mend: 'restart the service with the new value, or set the old one again',
    });
  };
  for (const key of ['grpc', 'http', 'admin', 'grpcTransport'] as const)
    fixed(['server', key], first.server[key], next.server[key], 'the listener is open');
  fixed(
    ['server', 'grpcTls'],
    first.server.grpcTls,
    next.server.grpcTls,
    'the listener watches its own files; new certificates in the same files need none',
  );
  fixed(['audit', 'destination'], first.audit.destination, next.audit.destination, 'the audit is open');
  if (store !== undefined)
    fixed(['vault', 'store'], store, next.vault.store, 'the grants are in the store that is open');
  const { maxBody } = first.limits;
  fixed(
    ['limits', 'maxBody'],
    maxBody,
    Math.max(maxBody, next.limits.maxBody),
    `the gRPC listener takes bodies up to what it was opened with, ${maxBody} bytes; a smaller value needs none`,
  );
  return problems;
}
