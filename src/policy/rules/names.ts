import { nearest } from '../../core/nearest.ts';
import type { Problem } from '../../core/problem.ts';
import type { Path } from '../../core/schema-shape.ts';
import type { RoutePolicy } from '../route-policy.ts';
import { error, listed, type Rule } from '../rule.ts';

/** V-12: names of methods, exchanges and secrets that the config file does not define. */
export const undefinedNames: Rule = (policy, world) => {
  const { outgoingAuth } = policy;
  const problems: Problem[] = [];
  const check = (path: Path, name: string, known: Iterable<string>, section: string) => {
    const names = new Set(known);
    if (names.has(name)) return;
    // Where the name of a secret belongs, people may have written the secret.
    const told = section === 'secrets' ? 'what stands here' : `\`${name}\``;
    const near = nearest(name, names);
    const mend = near ? `did you mean \`${near}\`?` : `define it; ${listed(names)}`;
    problems.push(error('V-12', path, `${told} is not defined under \`${section}\` in the config file`, mend));
  };
  policy.incomingAuth.forEach((name, i) => check(['incomingAuth', i], name, world.methods.keys(), 'incomingAuth'));
  for (const [header, name] of Object.entries(policy.headerForward.secrets))
    check(['headerForward', 'secrets', header], name, world.secrets, 'secrets');
  if (outgoingAuth.type === 'token_exchange') {
    check(
      ['outgoingAuth', 'tokenExchange', 'exchange'],
      outgoingAuth.tokenExchange.exchange,
      world.exchanges.keys(),
      'tokenExchanges',
    );
  }
  if (outgoingAuth.type === 'header_injection' && outgoingAuth.headerInjection.secret !== undefined) {
    check(['outgoingAuth', 'headerInjection', 'secret'], outgoingAuth.headerInjection.secret, world.secrets, 'secrets');
  }
  return problems;
};

/** V-12: assertions without a key to sign them. */
export const signingKey: Rule = ({ identityPropagation }, world) => {
  const sign = identityPropagation?.sign ?? 'none';
  if (sign === 'none' || world.signing[sign]) return [];
  const path = ['identityPropagation', 'sign'];
  return [
    error(
      'V-12',
      path,
      `no key signs \`${sign}\` assertions`,
      `add a key to \`signing.keys\` and name it in \`signing.current.${sign}\``,
    ),
  ];
};

/** A place that names an upstream provider. */
export interface ProviderUse {
  readonly path: Path;
  readonly name: string;
}

/** Where the policy uses the user's token at an upstream provider. */
export function providerUse({ outgoingAuth }: RoutePolicy): ProviderUse | undefined {
  switch (outgoingAuth.type) {
    case 'upstream_inject':
      return {
        path: ['outgoingAuth', 'upstreamInject', 'providerName'],
        name: outgoingAuth.upstreamInject.providerName,
      };
    case 'token_exchange': {
      const { subjectProviderName: name } = outgoingAuth.tokenExchange;
      return name === undefined ? undefined : { path: ['outgoingAuth', 'tokenExchange', 'subjectProviderName'], name };
    }
    case 'aws_sts': {
      const { subjectProviderName: name } = outgoingAuth.awsSts;
      return name === undefined ? undefined : { path: ['outgoingAuth', 'awsSts', 'subjectProviderName'], name };
    }
    default:
      return undefined;
  }
}

/** V-06: a provider name that is empty or was left out. */
export const emptyProvider: Rule = (policy) => {
  const use = providerUse(policy);
  return use?.name === ''
    ? [error('V-06', use.path, 'the name of the upstream provider is empty', 'name an entry of `upstreamProviders`')]
    : [];
};

/** V-02: a provider that the config file does not define. */
export const unknownProvider: Rule = (policy, world) => {
  const use = providerUse(policy);
  // No name at all is V-06; no providers at all is V-01.
  if (!use || use.name === '' || world.providers.size === 0 || world.providers.has(use.name)) return [];
  const near = nearest(use.name, world.providers);
  const mend = near ? `did you mean \`${near}\`?` : `define it; ${listed(world.providers)}`;
  return [
    error('V-02', use.path, `\`${use.name}\` is not defined under \`upstreamProviders\` in the config file`, mend),
  ];
};

/** V-01: users' upstream tokens are needed, but nothing could fetch or keep them. */
export const upstreamTokens: Rule = (policy, world) => {
  const use = providerUse(policy);
  if (!use) return [];
  const missing = (has: boolean, what: string, mend: string) =>
    has ? [] : [error('V-01', use.path, `the route uses tokens of an upstream provider, but ${what}`, mend)];
  return [
    ...missing(
      world.providers.size > 0,
      'no `upstreamProviders` are configured',
      'add the provider to `upstreamProviders`',
    ),
    ...missing(
      world.hasVaultKeys,
      'there are no `vault.keys` to seal them with',
      'add a key to `vault.keys`: openssl rand -base64 32',
    ),
    ...missing(
      world.loginIssuer !== undefined,
      'there is no `connect.login`, so nobody could connect an account',
      'configure `connect.login`',
    ),
  ];
};
