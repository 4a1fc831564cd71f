import { JWT, type ProviderShapes, without } from './shape.ts';

const GOOGLE = 'https://accounts.google.com';
const CLIENT = '1234567890-abc.apps.googleusercontent.com';
const google = {
  iss: GOOGLE,
  azp: CLIENT,
  aud: CLIENT,
  sub: '110169484474386276334',
  hd: 'example.com',
  email: 'alice@example.com',
  email_verified: true,
  at_hash: 'HK6E_P6Dh8Y93mRNtsDB1Q',
  name: 'Alice A',
};
const robot = {
  iss: GOOGLE,
  aud: 'https://mcp.example.com/jobs/mcp',
  azp: '104029292853099978293',
  sub: '104029292853099978293',
  email: 'nightly@my-project.iam.gserviceaccount.com',
  email_verified: true,
};

export const GOOGLE_SHAPES: ProviderShapes = {
  good: {
    'the ID token of a person': {
      claims: google,
      header: JWT,
      is: { subject: google.sub, scopes: [], email: 'alice@example.com', full_name: 'Alice A' },
    },
    'the ID token of a service account': {
      backend: 'jobs',
      claims: robot,
      header: JWT,
      is: { subject: robot.sub, scopes: [], email: robot.email },
    },
  },
  refused: {
    'of an account outside of any domain': { claims: without(google, 'hd'), header: JWT, reason: 'token_claims' },
    'of another domain': { claims: { ...google, hd: 'other.example' }, header: JWT, reason: 'token_claims' },
    'of an unverified address': { claims: { ...google, email_verified: false }, header: JWT, reason: 'token_claims' },
    'for another client': { claims: { ...google, aud: 'x' }, header: JWT, reason: 'token_audience' },
    'of the old issuer': { claims: { ...google, iss: 'accounts.google.com' }, header: JWT, reason: 'token_issuer' },
    'of somebody else’s service account, for our resource': {
      backend: 'jobs',
      claims: { ...robot, email: 'x@evil.iam.gserviceaccount.com' },
      header: JWT,
      reason: 'token_claims',
    },
    'of our service account, for another resource': {
      backend: 'jobs',
      claims: { ...robot, aud: 'https://other.example' },
      header: JWT,
      reason: 'token_audience',
    },
    'of a person, where service accounts call': {
      backend: 'jobs',
      claims: google,
      header: JWT,
      reason: 'token_claims',
    },
    'of our service account, where people call': { claims: robot, header: JWT, reason: 'token_claims' },
  },
};
