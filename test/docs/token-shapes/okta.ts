import { type ProviderShapes, without } from './shape.ts';

const OKTA = 'https://example.okta.com/oauth2/aus1a2b3c4d5e6f7g8h9';
const okta = {
  ver: 1,
  jti: 'AT.0000000000000000000000000000000000000000000',
  iss: OKTA,
  aud: 'https://mcp.example.com',
  cid: '0oa1client',
  uid: '00u1alice',
  scp: ['openid', 'mcp:read'],
  auth_time: 1_700_000_000,
  sub: 'alice@example.com',
  groups: ['Everyone', 'staff'],
};

export const OKTA_SHAPES: ProviderShapes = {
  good: {
    'an access token, whose header has no typ': {
      claims: okta,
      is: { subject: '00u1alice', scopes: ['mcp:read', 'openid'], groups: ['Everyone', 'staff'] },
    },
  },
  refused: {
    'an ID token': {
      claims: { ...without(okta, 'cid', 'uid', 'scp'), sub: '00u1alice', aud: '0oa1client', jti: 'ID.1' },
      reason: 'token_claims',
    },
    'an ID token with a uid': {
      claims: { ...without(okta, 'cid', 'scp'), aud: '0oa1client', jti: 'ID.1' },
      reason: 'token_audience',
    },
    'of the org authorization server': {
      claims: { ...okta, iss: 'https://example.okta.com', aud: 'https://example.okta.com' },
      reason: 'token_issuer',
    },
    'of another authorization server': {
      claims: { ...okta, iss: 'https://example.okta.com/oauth2/default' },
      reason: 'token_issuer',
    },
    'of another org': { claims: { ...okta, iss: OKTA.replace('example', 'other') }, reason: 'token_issuer' },
    'for another audience': { claims: { ...okta, aud: 'api://default' }, reason: 'token_audience' },
    'of a program': { claims: { ...without(okta, 'uid'), sub: '0oa1client' }, reason: 'token_claims' },
    'without the scope': { claims: { ...okta, scp: ['openid'] }, reason: 'scope_missing' },
  },
};
