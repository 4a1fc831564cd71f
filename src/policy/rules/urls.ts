import type { Problem } from '../../core/problem.ts';
import type { Path } from '../../core/schema-shape.ts';
import { error, type Rule } from '../rule.ts';

const URL_START = /^\s*[a-z][a-z0-9+.-]*:\/\//i;
const USER_INFO = /[a-z][a-z0-9+.-]*:\/\/[^/?#\s]*@/i;

/** Texts that may be URLs: identifiers that are only compared, never called. */
const IDENTIFIERS = [
  /^resource$/,
  /^outgoingAuth\.tokenExchange\.resource(\.\d+)?$/,
  /(^|\.)scopes\.\d+$/,
  /^outgoingAuth\.awsSts\.(sessionNameClaim|roleMappings\.\d+\.(claim|value))$/,
];

/**
 * V-13: URLs in route metadata. Where the service sends tokens is decided by the config file alone, and a URL with
 * user info is a password that Envoy would show.
 */
export const urls: Rule = (_policy, _world, raw) => {
  const problems: Problem[] = [];
  for (const [path, text] of textsIn(raw, [])) {
    if (USER_INFO.test(text)) {
      problems.push(
        error(
          'V-13',
          path,
          'is a URL with a user name or password',
          'put the secret under `secrets` in the config file',
        ),
      );
    } else if (URL_START.test(text) && !IDENTIFIERS.some((identifier) => identifier.test(path.join('.')))) {
      problems.push(
        error(
          'V-13',
          path,
          'is a URL; only `resource` and `tokenExchange.resource` may be one',
          'configure endpoints in the config file and name them here; an audience that is a URL gets a name in `audiences` of the exchange',
        ),
      );
    }
  }
  return problems;
};

function* textsIn(value: unknown, path: Path): Iterable<[Path, string]> {
  if (typeof value === 'string') {
    if (value.includes('://')) yield [path, value];
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* textsIn(item, [...path, index]);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) yield* textsIn(item, [...path, key]);
  }
}
