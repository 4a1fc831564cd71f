import { pino } from 'pino';
import type { Audit, AuditRecord } from '../core/ports.ts';

export interface AuditSink extends Audit {
  /** Writes what is still in memory; the last thing before the process ends. */
  flush(): void;
}

/**
 * One JSON object per line (contract §7). Writes are handed to the kernel in batches; while it is slow lines wait in
 * memory, none is dropped.
 * @param destination `stdout` or `file:<absolute path>` (appended, mode 0600)
 */
export function createAudit(destination: string): AuditSink {
  const sink =
    destination === 'stdout'
      ? pino.destination({ fd: 1, sync: false })
      : pino.destination({
          dest: destination.slice('file:'.length),
          sync: false,
          append: true,
          mkdir: false,
          mode: 0o600,
        });
  return {
    write(record: AuditRecord): void {
      sink.write(`${JSON.stringify(record)}\n`);
    },
    flush(): void {
      sink.flushSync();
    },
  };
}
