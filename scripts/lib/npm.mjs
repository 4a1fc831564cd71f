// What all calls of npm share.
import { SetupError } from './say.mjs';

/** Two quick retries instead of npm's minute: enough for a hiccup, and a missing network shows soon. */
export const NPM_NETWORK = ['--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000'];

/**
 * @param {string} message
 * @param {import('./command.mjs').Outcome} outcome
 * @param {string[]} otherwise what else would help
 */
export function npmFailure(message, outcome, otherwise) {
  if (outcome.missing) {
    return new SetupError(`${message}: there is no npm on PATH`, ['Install npm (it comes with Node).', ...otherwise]);
  }
  const output = outcome.stderr || outcome.stdout;
  if (/code EUSAGE/.test(output)) {
    const advice = [
      'package.json and package-lock.json do not fit together: run npm install, then commit both.',
      'If what is missing are packages for other platforms: run node scripts/complete-lock.mjs.',
    ];
    return new SetupError(message, advice, output);
  }
  return new SetupError(
    message,
    [
      'Is the network there? npm uses the registry and proxy of your npm configuration (`npm config get registry`).',
      ...otherwise,
    ],
    output,
  );
}
