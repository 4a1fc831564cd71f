// What the person at the terminal sees while things are being set up. Everything goes to stderr, so that
// `npm test -- --test-reporter=tap | …` stays clean.

const HEARTBEAT_MS = 10_000;

/** Prints one progress line. @param {string} line */
export function say(line) {
  process.stderr.write(`[setup] ${line}\n`);
}

/** A failure whose cause is known: what went wrong, and what to do about it. */
export class SetupError extends Error {
  /**
   * @param {string} message what went wrong, in one line
   * @param {string[]} advice what to do, one step per line
   * @param {string} [output] what the failing command said
   */
  constructor(message, advice, output = '') {
    super(message);
    this.name = 'SetupError';
    this.advice = advice;
    this.output = output;
  }
}

/**
 * Runs one step between two progress lines, with a sign of life every ten seconds.
 * @template T
 * @param {string} what
 * @param {() => Promise<T>} work
 * @param {(result: T) => string} [describe] what to add to the closing line (a size, a path)
 * @returns {Promise<T>}
 */
export async function step(what, work, describe) {
  const started = Date.now();
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(1)} s`;
  say(`${what} ...`);
  const heartbeat = setInterval(() => say(`${what}: still at it (${seconds()})`), HEARTBEAT_MS);
  try {
    const result = await work();
    say(`${what}: done in ${seconds()}${describe ? `, ${describe(result)}` : ''}`);
    return result;
  } finally {
    clearInterval(heartbeat);
  }
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

const OUTPUT_LINES = 12;

/** Prints a failure: what the failing command said (its beginning), what went wrong, what to do. @param {SetupError} error */
export function explain(error) {
  const lines = error.output.trim().split('\n');
  if (lines.length > OUTPUT_LINES) lines.splice(OUTPUT_LINES, Infinity, '...');
  if (lines[0] !== '') process.stderr.write(`${lines.join('\n')}\n`);
  say(`FAILED: ${error.message}`);
  for (const line of error.advice) say(`  ${line}`);
}
