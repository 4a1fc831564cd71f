import type { Mutation } from './mutation.ts';

/** One mistake each in the metadata of a route. */
export const policyMutations: readonly Mutation[] = [
  {
    name: 'an unknown key in a policy',
    code: 'SCHEMA',
    mend: /did you mean `backend`/,
    envoy: (e) => (e.policy('claims').backends = 'x'),
  },
  {
    name: 'a policy without backend',
    code: 'SCHEMA',
    says: /missing/,
    envoy: (e) => delete e.policy('claims').backend,
  },
  {
    name: 'an unknown strategy',
    code: 'SCHEMA',
    mend: /did you mean `claim_injection`/,
    envoy: (e) => (e.policy('claims').outgoingAuth.type = 'claims_injection'),
  },
  {
    name: 'an empty list of methods',
    code: 'SCHEMA',
    says: /at least one/,
    envoy: (e) => (e.policy('claims').incomingAuth = []),
  },
  {
    name: 'a resource that is no URL',
    code: 'SCHEMA',
    says: /URL/,
    envoy: (e) => (e.policy('claims').resource = 'claims'),
  },
  {
    name: 'a resource with a fragment',
    code: 'SCHEMA',
    says: /fragment/,
    envoy: (e) => (e.policy('claims').resource += '#x'),
  },
  {
    name: 'a misspelt provider',
    code: 'V-02',
    mend: /did you mean `github`/,
    envoy: (e) => (e.policy('github').outgoingAuth.upstreamInject.providerName = 'githbu'),
  },
  {
    name: 'an empty provider name',
    code: 'V-06',
    envoy: (e) => (e.policy('github').outgoingAuth.upstreamInject.providerName = ''),
  },
  {
    name: 'an upstream strategy without its block',
    code: 'V-06',
    envoy: (e) => delete e.policy('github').outgoingAuth.upstreamInject,
  },
  {
    name: 'an empty subject provider',
    code: 'V-06',
    envoy: (e) => (e.policy('hr-github').outgoingAuth.tokenExchange.subjectProviderName = ''),
  },
  {
    name: 'issuers that differ on one resource',
    code: 'V-04',
    envoy: (e) => (e.policy('shared').incomingAuth = ['corp', 'partner']),
  },
  { name: 'tokens without a resource', code: 'V-07', envoy: (e) => delete e.policy('claims').resource },
  {
    name: 'Authorization passed through',
    code: 'V-10',
    envoy: (e) => (e.policy('claims').passthroughHeaders = ['AUTHORIZATION']),
  },
  {
    name: 'a passthrough name with spaces',
    code: 'V-10',
    says: /not a header name/,
    envoy: (e) => (e.policy('claims').passthroughHeaders = ['X Trace']),
  },
  {
    name: 'a passthrough name with an underscore',
    code: 'V-10',
    says: /_/,
    envoy: (e) => (e.policy('claims').passthroughHeaders = ['X_Trace']),
  },
  {
    name: 'a passthrough name twice',
    code: 'V-10',
    says: /twice/,
    envoy: (e) => (e.policy('claims').passthroughHeaders = ['X-Trace', 'x-trace']),
  },
  {
    name: 'a header that is carried anyway',
    code: 'V-10',
    says: /already/,
    envoy: (e) => (e.policy('claims').passthroughHeaders = ['Accept']),
  },
  {
    name: 'an AWS header passed through',
    code: 'V-10',
    envoy: (e) => (e.policy('claims').passthroughHeaders = ['X-Amz-Date']),
  },
  {
    name: 'passthrough of a static header',
    code: 'V-11',
    says: /headerForward/,
    envoy: (e) => (e.policy('claims').passthroughHeaders = ['x-api-version']),
  },
  {
    name: 'passthrough of a secret header',
    code: 'V-11',
    says: /headerForward\.secrets/,
    envoy: (e) => (e.policy('keys').passthroughHeaders = ['x-api-key']),
  },
  {
    name: 'passthrough of a claim header',
    code: 'V-11',
    says: /claim_injection/,
    envoy: (e) => (
      (e.policy('claims').outgoingAuth.claimInjection.claims = { sub: 'X-Sub' }),
      (e.policy('claims').passthroughHeaders = ['X-Sub'])
    ),
  },
  {
    name: 'passthrough of a credential header',
    code: 'V-11',
    says: /ci/,
    envoy: (e) => (e.policy('claims').passthroughHeaders = ['X-Api-Key']),
  },
  {
    name: 'passthrough under the prefix of propagation',
    code: 'V-11',
    says: /propagation/,
    envoy: (e) => (
      (e.policy('keys').identityPropagation.headersPrefix = 'X-Who'),
      (e.policy('keys').passthroughHeaders = ['X-Who-Email'])
    ),
  },
  {
    name: 'a header written twice',
    code: 'V-11',
    says: /so does/,
    envoy: (e) => (e.policy('keys').headerForward.secrets = { authorization: 'api-key' }),
  },
  {
    name: 'a forwarded Host',
    code: 'V-11',
    says: /connection/,
    envoy: (e) => (e.policy('claims').headerForward.plaintext = { Host: 'x' }),
  },
  {
    name: 'a forwarded MCP header',
    code: 'V-11',
    envoy: (e) => (e.policy('claims').headerForward.plaintext = { 'Mcp-Session-Id': 'x' }),
  },
  {
    name: 'a claim in an Envoy header',
    code: 'V-11',
    envoy: (e) => (e.policy('claims').outgoingAuth.claimInjection.claims = { sub: 'X-Envoy-User' }),
  },
  {
    name: 'a method that does not exist',
    code: 'V-12',
    mend: /did you mean `corp`/,
    envoy: (e) => (e.policy('aws').incomingAuth = ['crop']),
  },
  {
    name: 'a secret that does not exist',
    code: 'V-12',
    envoy: (e) => (e.policy('keys').outgoingAuth.headerInjection.secret = 'jira'),
  },
  {
    name: 'a literal Authorization',
    code: 'V-13',
    envoy: (e) => (e.policy('claims').headerForward.plaintext = { Authorization: 'Bearer abc' }),
  },
  {
    name: 'a literal key',
    code: 'V-13',
    envoy: (e) => (e.policy('claims').headerForward.plaintext = { 'X-Jira-Key': 'abc' }),
  },
  {
    name: 'a literal in header_injection',
    code: 'V-13',
    envoy: (e) => (e.policy('keys').outgoingAuth.headerInjection = { headerName: 'Cookie', value: 'a=b' }),
  },
  {
    name: 'a URL in the metadata',
    code: 'V-13',
    says: /URL/,
    envoy: (e) => (e.policy('hr').outgoingAuth.tokenExchange.audience = 'https://hr.example.com/token'),
  },
  {
    name: 'a password in a URL',
    code: 'V-13',
    says: /password/,
    envoy: (e) => (e.policy('claims').resource = 'https://u:p@mcp.example.com/claims'),
  },
  {
    name: 'a reserved _meta key',
    code: 'V-14',
    envoy: (e) => (e.policy('github').identityPropagation.metaKey = 'io.modelcontextprotocol/user'),
  },
  {
    name: 'capture without a bound session',
    code: 'V-15',
    says: /bound/,
    envoy: (e) => (e.policy('claims').session = { passthroughCapture: 'session' }),
  },
  { name: 'a strategy without any token', code: 'V-26', envoy: (e) => (e.policy('hr').incomingAuth = ['ci']) },
  {
    name: 'a strategy with a token only sometimes',
    code: 'V-26',
    severity: 'warning',
    envoy: (e) => e.policy('hr').incomingAuth.push('ci'),
  },
  {
    name: 'users who cannot connect',
    code: 'V-27',
    says: /partner/,
    envoy: (e) => (e.policy('hr-github').incomingAuth = ['partner']),
  },
  {
    name: 'a method whose users cannot connect',
    code: 'V-27',
    severity: 'warning',
    envoy: (e) => e.policy('hr-github').incomingAuth.push('ci'),
  },
];
