// A redis-server for the tests of the Redis store: the user's own, or the distribution's package unpacked into the
// cache folder. Nothing is installed on the system and no server is started here.
import { isExecutableFile, onPath } from './command.mjs';
import { programFromPackage } from './debian-package.mjs';
import { say, SetupError } from './say.mjs';

const REDIS = {
  program: 'redis-server',
  name: 'Redis',
  size: '15 MB',
  own: 'Install Redis 7 (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis) or set REDIS_SERVER_BIN.',
};

/**
 * `$REDIS_SERVER_BIN`, else `redis-server` on PATH, else the package of a Debian-like system, fetched once. Where
 * that fails the reason is printed and the answer is undefined: the tests that need Redis say so themselves.
 * @param {import('./command.mjs').Setup} setup
 * @returns {Promise<string | undefined>}
 */
export async function findRedis(setup) {
  const { env } = setup;
  const chosen = env['REDIS_SERVER_BIN'];
  if (chosen && isExecutableFile(chosen)) return chosen;
  if (chosen) say(`REDIS_SERVER_BIN (${chosen}) is not an executable file: looking further`);
  const installed = onPath('redis-server', env);
  if (installed) return installed;
  try {
    return await programFromPackage('redis-server', REDIS, setup);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`${error.message}. The tests that need it will fail. ${error.advice.join(' ')}`);
    if (error.output.trim() !== '') say(lastLines(error.output));
    return undefined;
  }
}

/** @param {string} text */
function lastLines(text) {
  return text.trim().split('\n').slice(-3).join(' | ');
}
