import { JWT, type ProviderShapes, RESOURCE, without } from './shape.ts';

const AUTH0 = 'https://example.eu.auth0.com/';
const auth0 = {
  iss: AUTH0,
  sub: 'auth0|123456',
  aud: [RESOURCE, 'https://example.eu.auth0.com/userinfo'],
  azp: 'clientId',
  scope: 'openid mcp:read',
  'https://example.com/roles': ['editor'],
};

export const AUTH0_SHAPES: ProviderShapes = {
  good: {
    'of the profile of Auth0': {
      claims: auth0,
      header: JWT,
      is: { subject: 'auth0|123456', scopes: ['mcp:read', 'openid'], roles: ['editor'] },
    },
    'of the profile RFC 9068': {
      claims: { ...without(auth0, 'azp', 'https://example.com/roles'), client_id: 'clientId', jti: '73Wak' },
      header: { typ: 'at+jwt' },
      is: { subject: 'auth0|123456', scopes: ['mcp:read', 'openid'] },
    },
    'with permissions': {
      claims: { ...without(auth0, 'https://example.com/roles'), scope: 'openid', permissions: ['mcp:read'] },
      header: JWT,
      is: { subject: 'auth0|123456', scopes: ['mcp:read', 'openid'] },
    },
    'of a program': {
      claims: { ...auth0, sub: 'clientId@clients', aud: RESOURCE, gty: 'client-credentials', scope: 'mcp:read' },
      header: JWT,
      is: { subject: 'clientId@clients', scopes: ['mcp:read'], roles: ['editor'] },
    },
  },
  refused: {
    'an ID token': {
      claims: { ...without(auth0, 'scope', 'azp'), aud: 'clientId', nickname: 'alice', sid: 's' },
      header: JWT,
      reason: 'token_audience',
    },
    'for userinfo only': { claims: { ...auth0, aud: auth0.aud[1] }, header: JWT, reason: 'token_audience' },
    'for another API': { claims: { ...auth0, aud: ['https://other'] }, header: JWT, reason: 'token_audience' },
    'of another tenant': {
      claims: { ...auth0, iss: 'https://other.eu.auth0.com/' },
      header: JWT,
      reason: 'token_issuer',
    },
    'whose issuer lacks the slash': {
      claims: { ...auth0, iss: AUTH0.slice(0, -1) },
      header: JWT,
      reason: 'token_issuer',
    },
    'a logout token': { claims: auth0, header: { typ: 'logout+jwt' }, reason: 'token_type' },
  },
};
