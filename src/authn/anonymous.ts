import { ABSENT, type IncomingMethod } from './method.ts';

/**
 * Lets callers in who bring no credential. There is nothing to look for: the chain lets them pass when no other method
 * of the route has found anything to judge.
 */
export function createAnonymous(name: string): IncomingMethod {
  return {
    name,
    type: 'anonymous',
    issuer: undefined,
    scheme: undefined,
    credentialHeaders: [],
    audience: undefined,
    authenticate: () => ABSENT,
  };
}
