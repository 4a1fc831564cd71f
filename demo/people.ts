/** Somebody who may sign in at the demo identity provider. No passwords: everything here is make-believe. */
export interface Person {
  readonly sub: string;
  readonly email: string;
  readonly name: string;
  readonly groups: readonly string[];
  /** Where Keycloak puts roles; `attributeClaims: {roles: realm_access.roles}` reads them. */
  readonly realm_access: { readonly roles: readonly string[] };
  readonly department: string;
}

export const people: ReadonlyMap<string, Person> = new Map([
  [
    'alice',
    {
      sub: 'alice',
      email: 'alice@example.com',
      name: 'Alice Ångström',
      groups: ['engineering', 'admins'],
      realm_access: { roles: ['editor', 'admin'] },
      department: 'Research, Development',
    },
  ],
  [
    'bob',
    {
      sub: 'bob',
      email: 'bob@example.com',
      name: 'Bob Builder',
      groups: ['support'],
      realm_access: { roles: ['viewer'] },
      department: 'Customer Care',
    },
  ],
]);

/** Scopes of the demo's MCP servers. */
export const resourceScopes: readonly string[] = ['mcp:read', 'mcp:admin'];

/** What of `asked` this person may have: everybody reads, only the group `admins` gets `mcp:admin`. */
export function allowedScopes(person: Person, asked: Iterable<string>): string[] {
  const admin = person.groups.includes('admins');
  return [...asked].filter((scope) => resourceScopes.includes(scope) && (scope !== 'mcp:admin' || admin));
}
