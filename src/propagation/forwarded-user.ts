import { claimAt } from '../core/claims.ts';
import type { HeaderPair } from '../core/header-edits.ts';
import type { User } from '../core/identity.ts';
import { encodeValue } from '../core/encode.ts';
import type { AttributeName, IdentityPropagation } from './schema.ts';

/** End of the header name of each attribute, after the prefix. */
const HEADER_END: Record<AttributeName, string> = {
  id: 'Id',
  issuer: 'Issuer',
  email: 'Email',
  full_name: 'Full-Name',
  groups: 'Groups',
  roles: 'Roles',
  teams: 'Teams',
  is_admin: 'Admin',
  auth_method: 'Auth-Method',
  service_account: 'Service-Account',
  delegation_chain: 'Delegation-Chain',
};

/** Value of one attribute; undefined where the user has none. */
function attributeOf(user: User, name: AttributeName): unknown {
  switch (name) {
    case 'id':
      return user.subject;
    case 'issuer':
      return user.issuer;
    case 'auth_method':
      return user.authMethod;
    case 'delegation_chain':
      return user.delegationChain.length > 0 ? user.delegationChain : undefined;
    default:
      return user.attributes[name];
  }
}

/**
 * Everything the route propagates of a user, under the names that `_meta` uses (contract §4): attributes in
 * snake_case, further claims under their own name. Values that no header could carry are left out here too, so that
 * headers, `_meta` and assertion always agree.
 */
export function propagated(user: User, policy: IdentityPropagation): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  const put = (name: string, value: unknown) => {
    if (encodeValue(value) !== undefined) values[name] = value;
  };
  for (const name of policy.attributes) put(name, attributeOf(user, name));
  for (const path of Object.keys(policy.claims)) put(path, claimAt(user.claims, path));
  return values;
}

/** Lower-case names of the headers that propagation may write on a route, the assertion's included. */
export function forwardedHeaderNames(policy: IdentityPropagation): string[] {
  const ends = [...policy.attributes.map((name) => HEADER_END[name]), ...Object.values(policy.claims)];
  if (policy.sign !== 'none') ends.push('Assertion');
  return ends.map((end) => `${policy.headersPrefix}-${end}`.toLowerCase());
}

/** Prepares the headers that tell the backend who the user is. */
export function prepareForwardedUser(policy: IdentityPropagation): (user: User) => HeaderPair[] {
  const names = new Map<string, string>();
  for (const name of policy.attributes) names.set(name, `${policy.headersPrefix}-${HEADER_END[name]}`.toLowerCase());
  for (const [path, end] of Object.entries(policy.claims))
    names.set(path, `${policy.headersPrefix}-${end}`.toLowerCase());
  return (user) => {
    const headers: HeaderPair[] = [];
    for (const [name, value] of Object.entries(propagated(user, policy))) {
      const text = encodeValue(value);
      if (text !== undefined) headers.push([names.get(name) as string, text]);
    }
    return headers;
  };
}
