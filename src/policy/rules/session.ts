import type { Problem } from '../../core/problem.ts';
import { error, type Rule } from '../rule.ts';

/** V-15: what is remembered in a session needs a session bound to its user, and keys to seal it. */
export const sessions: Rule = ({ session }, world) => {
  const wants: [key: string, wanted: boolean][] = [
    ['bind', session.bind],
    ['passthroughCapture', session.passthroughCapture === 'session'],
    ['identityFallback', session.identityFallback !== 'none'],
  ];
  const used = wants.filter(([, wanted]) => wanted).map(([key]) => key);
  const [first] = used;
  if (first === undefined) return [];
  const problems: Problem[] = [];
  if (!world.hasSessionKeys)
    problems.push(
      error(
        'V-15',
        ['session', first],
        'sessions are to be sealed, but there are no `session.keys`',
        'add a key to `session.keys`: openssl rand -base64 32',
      ),
    );
  if (!session.bind) {
    for (const key of used)
      problems.push(
        error(
          'V-15',
          ['session', key],
          `\`${key}\` works only in sessions that are bound to their user`,
          'set `session.bind: true`',
        ),
      );
  }
  return problems;
};
