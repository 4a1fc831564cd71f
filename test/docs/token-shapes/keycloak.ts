import { JWT, type ProviderShapes, RESOURCE, without } from './shape.ts';

const KEYCLOAK = 'https://sso.example.com/realms/corp';
const keycloak = {
  iss: KEYCLOAK,
  jti: 'onrtro:6e4d2f6e',
  aud: [RESOURCE, 'gateway', 'account'],
  sub: '6cd55704-eb42-4697-b55e-59046efc7b46',
  typ: 'Bearer',
  azp: 'mcp-client',
  sid: 'a7a51738-3e8b-4b88-9ff1-a17ed56aa87a',
  acr: '1',
  realm_access: { roles: ['offline_access', 'staff'] },
  resource_access: { hr: { roles: ['employee'] } },
  scope: 'openid email mcp:read',
  email_verified: true,
  name: 'Alice A',
  preferred_username: 'alice',
  email: 'alice@example.com',
  groups: ['/staff'],
};

export const KEYCLOAK_SHAPES: ProviderShapes = {
  good: {
    'an access token': {
      claims: keycloak,
      header: JWT,
      is: {
        subject: keycloak.sub,
        scopes: ['email', 'mcp:read', 'openid'],
        email: 'alice@example.com',
        full_name: 'Alice A',
        groups: ['/staff'],
        roles: ['offline_access', 'staff'],
      },
    },
    'one with a single audience': {
      claims: { ...without(keycloak, 'realm_access', 'groups', 'email', 'name'), aud: RESOURCE },
      header: JWT,
      is: { subject: keycloak.sub, scopes: ['email', 'mcp:read', 'openid'] },
    },
  },
  refused: {
    'an ID token': { claims: { ...keycloak, typ: 'ID', aud: 'mcp-client' }, header: JWT, reason: 'token_claims' },
    'an ID token that a mapper gave our audience': {
      claims: { ...without(keycloak, 'scope'), typ: 'ID' },
      header: JWT,
      reason: 'token_claims',
    },
    'a logout token': { claims: { ...keycloak, typ: 'Logout' }, header: JWT, reason: 'token_claims' },
    'of another realm': { claims: { ...keycloak, iss: `${KEYCLOAK}2` }, header: JWT, reason: 'token_issuer' },
    'for another client': { claims: { ...keycloak, aud: ['account'] }, header: JWT, reason: 'token_audience' },
    'without any audience': { claims: without(keycloak, 'aud'), header: JWT, reason: 'token_audience' },
    'without the scope': { claims: { ...keycloak, scope: 'openid' }, header: JWT, reason: 'scope_missing' },
    'a lightweight one, without sub': { claims: without(keycloak, 'sub'), header: JWT, reason: 'token_claims' },
    'bound to a key, as a bearer token': {
      claims: { ...keycloak, typ: 'DPoP', cnf: { jkt: 'A'.repeat(43) } },
      header: JWT,
      reason: 'token_sender_constrained',
    },
  },
};
