import type { Problem } from '../../core/problem.ts';
import type { RoutePolicy } from '../route-policy.ts';
import { carriesToken, error, type Rule, warning } from '../rule.ts';
import type { World } from '../world.ts';
import { providerUse } from './names.ts';

type Method = World['methods'] extends ReadonlyMap<string, infer T> ? T : never;

/** The route's methods that are defined; the others are V-12. */
function methodsOf(policy: RoutePolicy, world: World): [name: string, method: Method][] {
  return policy.incomingAuth.flatMap((name): [string, Method][] => {
    const method = world.methods.get(name);
    return method ? [[name, method]] : [];
  });
}

/** True when the strategy works with the token that the client sent. */
function usesIncomingToken(policy: RoutePolicy): boolean {
  const { type } = policy.outgoingAuth;
  return (type === 'token_exchange' || type === 'aws_sts') && providerUse(policy) === undefined;
}

/** V-26: a strategy that needs the client's token on a route where clients may or must come without one. */
export const incomingToken: Rule = (policy, world) => {
  const methods = methodsOf(policy, world);
  if (!usesIncomingToken(policy) || methods.length < policy.incomingAuth.length) return [];
  const without = methods.filter(([, method]) => !carriesToken(method.type)).map(([name]) => name);
  if (without.length === 0) return [];
  const { type } = policy.outgoingAuth;
  const path = ['incomingAuth'];
  if (without.length === methods.length) {
    return [
      error(
        'V-26',
        path,
        `${type} needs the token of the caller, and no method of this route carries one`,
        'accept a jwt or introspection method, or set `subjectProviderName`',
      ),
    ];
  }
  return [
    warning(
      'V-26',
      path,
      `${type} needs the token of the caller; who comes by ${without.join(', ')} is answered 401`,
      'leave these methods out, or set `subjectProviderName`',
    ),
  ];
};

/** V-03: an exchange at the issuer of the incoming token that asks for nothing else than that token. */
export const aimlessExchange: Rule = (policy, world): Problem[] => {
  const { outgoingAuth } = policy;
  if (outgoingAuth.type !== 'token_exchange' || !usesIncomingToken(policy)) return [];
  const { exchange, audience, resource } = outgoingAuth.tokenExchange;
  const endpoint = world.exchanges.get(exchange)?.tokenEndpoint;
  if (endpoint === undefined || audience !== undefined || resource !== undefined) return [];
  // Which issuer an endpoint belongs to is not written anywhere; the same origin is how it shows.
  const own = methodsOf(policy, world).find(
    ([, { issuer }]) => issuer !== undefined && new URL(issuer).origin === new URL(endpoint).origin,
  );
  if (!own) return [];
  const path = ['outgoingAuth', 'tokenExchange'];
  return [
    warning(
      'V-03',
      path,
      `the token is exchanged at its own issuer (${own[0]}) without \`audience\` and \`resource\`, which changes little`,
      'say for whom the new token is: `audience` or `resource`',
    ),
  ];
};

/** V-27: callers who could never connect an account, because the person at the connect page is someone else to us. */
export const connectable: Rule = (policy, world) => {
  if (!providerUse(policy) || world.loginIssuer === undefined) return [];
  const methods = methodsOf(policy, world);
  const path = (name: string) => ['incomingAuth', policy.incomingAuth.indexOf(name)];
  const foreign = methods.filter(([, { issuer }]) => issuer !== undefined && issuer !== world.loginIssuer);
  const problems = foreign.map(([name, { issuer }]) =>
    error(
      'V-27',
      path(name),
      `users of ${name} (issuer ${issuer}) cannot connect an account: \`connect.login\` signs people in at ${world.loginIssuer}`,
      'accept only methods of the login issuer here, or change `connect.login`',
    ),
  );
  const loginClaim = world.loginSubjectClaim ?? 'sub';
  for (const [name, { issuer, subjectClaim = 'sub' }] of methods) {
    if (issuer !== world.loginIssuer || subjectClaim === loginClaim) continue;
    // Okta's `uid` of access tokens is the `sub` of ID tokens: nobody can tell from here who has written both down.
    const meant = subjectClaim !== 'sub' && world.loginSubjectClaim !== undefined;
    problems.push(
      (meant ? warning : error)(
        'V-27',
        path(name),
        `users of ${name} are named by the claim ${subjectClaim}, and \`connect.login\` names people by ${loginClaim}`,
        meant
          ? 'make sure that both claims hold the same value for the same person'
          : 'set the same `subjectClaim` in the method and in `connect.login`',
      ),
    );
  }
  if (problems.length > 0 || methods.length < policy.incomingAuth.length) return problems;
  // Methods without an issuer make identities of their own; nobody signs in as them.
  const others = methods.filter(([, { issuer }]) => issuer === undefined);
  if (others.length === methods.length) {
    return [
      error(
        'V-27',
        ['incomingAuth'],
        'no method of this route has an issuer, so nobody could connect an account',
        'accept a method of the issuer of `connect.login`',
      ),
    ];
  }
  return others
    .filter(([, { type }]) => type !== 'anonymous')
    .map(([name]) =>
      warning(
        'V-27',
        path(name),
        `users of ${name} cannot connect an account: the method has no issuer`,
        'leave it out here, or expect that they are refused',
      ),
    );
};
