import type { Problem } from '../core/problem.ts';
import { reservedParameter } from '../upstream/authorization-url.ts';
import type { Config } from './schema.ts';

/** What keeps people from connecting accounts, as far as the config file alone tells. */
export function accountProblems({ upstreamProviders }: Config): Problem[] {
  const problems: Problem[] = [];
  const add = (path: Problem['path'], message: string, mend: string) =>
    problems.push({ code: 'SCHEMA', severity: 'error', file: '', path, message, mend });
  for (const [name, { authorizeParams }] of Object.entries(upstreamProviders)) {
    const reserved = reservedParameter(authorizeParams);
    if (reserved !== undefined)
      add(
        ['upstreamProviders', name, 'authorizeParams', reserved],
        'belongs to the protocol: the service sets it, or relies on its default',
        'remove it; scopes and resource have keys of their own',
      );
  }
  return problems;
}
