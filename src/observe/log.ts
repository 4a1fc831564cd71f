import { pino } from 'pino';
import type { Log } from '../core/ports.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';

export interface LeveledLog extends Log {
  /** What is written from now on. */
  setLevel(level: Level): void;
}

/** JSON lines on stderr, so that stdout holds the audit alone. */
export function createLog(level: Level): LeveledLog {
  const logger = pino(
    {
      level,
      base: null,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
  const at = (name: Level) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
    if (fields) logger[name](fields, message);
    else logger[name](message);
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    setLevel(next) {
      logger.level = next;
    },
  };
}
