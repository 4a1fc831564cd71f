import { openSync } from 'node:fs';
import sonicBoom from 'sonic-boom';
import type { Audit, AuditRecord, Log } from '../core/ports.ts';

export interface AuditSink extends Audit {
  /** True while lines cannot be written, or too many wait: then nothing may pass that would leave no trace. */
  readonly broken: boolean;
  /** Writes what is still in memory; the last thing before the process ends. */
  flush(): void;
}

/** Bytes that may wait for a slow disk or reader before the audit counts as broken. */
const MAX_WAITING = 32 * 1024 * 1024;
/** Bytes beyond which lines are dropped: only denials get here, because a broken audit lets nothing pass. */
const MAX_KEPT = 64 * 1024 * 1024;
/** How long a line waits for others to be written with it: each write is a system call and wakes a thread. */
const BATCH_MS = 10;
/** Bytes of lines, about, that are written at once without waiting. */
const BATCH_LENGTH = 64 * 1024;

/**
 * One JSON object per line (contract §7). Writes are handed to the kernel in batches; while it is slow lines wait in
 * memory.
 * @param destination `stdout` or `file:<absolute path>` (appended, mode 0600)
 * @throws when the file cannot be opened; says which
 */
export function createAudit(destination: string, log: Log): AuditSink {
  // Opened before anything is served: who starts the service sees at once that a file cannot be written.
  const fd = destination === 'stdout' ? 1 : openSync(destination.slice('file:'.length), 'a', 0o600);
  const sink = new sonicBoom.SonicBoom({ fd, sync: false, maxLength: MAX_KEPT });
  let failing = false;
  let waiting = 0;
  let batch = '';
  let timer: NodeJS.Timeout | undefined;
  sink.on('error', (error: Error) => {
    if (!failing)
      log.error('the audit cannot be written; every request is refused until it can', { error: error.message });
    failing = true;
  });
  sink.on('write', (bytes: number) => {
    waiting = Math.max(0, waiting - bytes);
    if (failing) log.info('the audit can be written again');
    failing = false;
  });
  sink.on('drain', () => {
    waiting = batch.length;
  });
  const writeBatch = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const lines = batch;
    batch = '';
    if (lines !== '') sink.write(lines);
  };
  return {
    get broken() {
      return failing || waiting > MAX_WAITING;
    },
    write(record: AuditRecord): void {
      const line = `${JSON.stringify(record)}\n`;
      waiting += Buffer.byteLength(line);
      batch += line;
      if (batch.length >= BATCH_LENGTH) writeBatch();
      else timer ??= setTimeout(writeBatch, BATCH_MS);
    },
    flush(): void {
      writeBatch();
      if (!failing) sink.flushSync();
    },
  };
}
