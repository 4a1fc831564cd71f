import { JWT, type ProviderShapes, RESOURCE, without } from './shape.ts';

const TENANT = '11111111-2222-3333-4444-555555555555';
const API = '66666666-7777-8888-9999-aaaaaaaaaaaa';
const ENTRA = `https://login.microsoftonline.com/${TENANT}/v2.0`;
const entra = {
  aud: API,
  iss: ENTRA,
  azp: 'cccccccc-0000-1111-2222-333333333333',
  azpacr: '0',
  name: 'Alice A',
  oid: '00000000-aaaa-bbbb-cccc-000000000001',
  preferred_username: 'alice@example.com',
  rh: '0.AAAA',
  roles: ['Editor'],
  groups: ['b1b1b1b1-0000-0000-0000-000000000001'],
  scp: 'mcp.read',
  sub: 'pairwise-AAAAAAAAAAAA',
  tid: TENANT,
  uti: 'uti',
  ver: '2.0',
};
const entraV1 = {
  aud: RESOURCE,
  iss: `https://sts.windows.net/${TENANT}/`,
  appid: 'cccccccc-0000-1111-2222-333333333333',
  appidacr: '0',
  family_name: 'A',
  given_name: 'Alice',
  ipaddr: '192.0.2.1',
  name: 'Alice A',
  oid: entra.oid,
  scp: 'mcp.read',
  sub: 'pairwise-BBBBBBBBBBBB',
  tid: TENANT,
  unique_name: 'alice@example.com',
  upn: 'alice@example.com',
  ver: '1.0',
};
const x5t = { ...JWT, x5t: 'AAAAAAAAAAAAAAAAAAAAAAAAAAA' };

export const ENTRA_SHAPES: ProviderShapes = {
  good: {
    'an access token of version 2': {
      claims: entra,
      header: JWT,
      is: {
        subject: entra.oid,
        scopes: ['mcp.read'],
        full_name: 'Alice A',
        groups: entra.groups,
        roles: ['Editor'],
      },
    },
    'one of version 1, by its own method': {
      claims: entraV1,
      header: x5t,
      methods: ['corp_v1'],
      is: { subject: entra.oid, scopes: ['mcp.read'], full_name: 'Alice A' },
    },
    'one with too many groups': {
      claims: {
        ...without(entra, 'groups'),
        _claim_names: { groups: 'src1' },
        _claim_sources: { src1: { endpoint: 'https://graph.microsoft.com/x' } },
      },
      header: JWT,
      is: { subject: entra.oid, scopes: ['mcp.read'], full_name: 'Alice A', roles: ['Editor'] },
    },
  },
  refused: {
    'an ID token': {
      claims: { ...without(entra, 'scp', 'azp'), aud: entra.azp },
      header: JWT,
      reason: 'token_audience',
    },
    'an ID token, where the API is its own client': {
      claims: without(entra, 'scp', 'azp'),
      header: JWT,
      reason: 'scope_missing',
    },
    'of another tenant': {
      claims: { ...entra, iss: ENTRA.replace('1111', '9999'), tid: TENANT.replace('1111', '9999') },
      header: JWT,
      reason: 'token_issuer',
    },
    'of version 1': { claims: entraV1, header: x5t, reason: 'token_issuer' },
    'of version 2, at the method of version 1': {
      claims: entra,
      header: JWT,
      methods: ['corp_v1'],
      reason: 'token_issuer',
    },
    'of version 1 for another API': {
      claims: { ...entraV1, aud: 'api://other' },
      header: x5t,
      methods: ['corp_v1'],
      reason: 'token_audience',
    },
    'for another API': { claims: { ...entra, aud: 'api://other' }, header: JWT, reason: 'token_audience' },
    'for Microsoft Graph': {
      claims: { ...entraV1, aud: '00000003-0000-0000-c000-000000000000' },
      header: { ...x5t, nonce: 'graph' },
      methods: ['corp_v1'],
      reason: 'token_audience',
    },
    'of an application, without a user': {
      claims: { ...without(entra, 'scp', 'name', 'preferred_username'), idtyp: 'app', sub: entra.oid },
      header: JWT,
      reason: 'scope_missing',
    },
    'without oid': { claims: without(entra, 'oid'), header: JWT, reason: 'token_claims' },
  },
};
